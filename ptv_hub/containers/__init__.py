"""What lies in a weights file and where, told from its bytes alone, within bounds."""
