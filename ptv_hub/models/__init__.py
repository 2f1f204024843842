"""An entry -> its network, without weights; a network's stages; the digest of its tensors."""
