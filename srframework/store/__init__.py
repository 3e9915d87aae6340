"""The stage store keeps each result under the hash of its inputs. Imported by run and above; imports no other layer."""
