"""What is in the zoo: JSON and YAML -> frozen records. No torch, no network."""
