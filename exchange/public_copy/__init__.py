"""A second database and data root with only what is public: what is in it, and how it is brought up to date."""
