"""The stage store: results under the hash of what determines them. Imported by run and above; imports no other room."""
