"""The store: what a relay keeps, durably."""
