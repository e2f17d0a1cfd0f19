"""Laws: how members are to be distributed within the invariant set."""
