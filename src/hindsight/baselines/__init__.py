"""What the diffusion analysis is held against: one module a method, the same observations, members and layout."""
