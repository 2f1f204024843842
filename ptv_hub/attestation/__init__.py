"""The first day with a network: every unknown of the zoo's files becomes a known, by one command.

Who has a connection runs ``attest``; what they saw is a file; ``merging`` brings it into the
manifests.
"""
