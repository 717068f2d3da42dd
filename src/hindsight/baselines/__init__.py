"""Methods that the diffusion analysis is compared with: one module each, with the same observations and file layout."""
