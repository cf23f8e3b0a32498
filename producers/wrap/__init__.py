"""An agent's command and what its terminal shows, as the events of one session."""
