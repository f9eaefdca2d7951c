"""DataJoint schemas, one module each."""
