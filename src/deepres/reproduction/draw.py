"""Drawing what an artefact shows, from its runs and from the networks themselves."""
