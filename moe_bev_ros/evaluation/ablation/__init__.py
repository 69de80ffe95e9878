"""What each mechanism of the network is worth."""
