"""Finding plugins, and name -> component. Imported by every room above; imports the contracts and what they rest on."""
