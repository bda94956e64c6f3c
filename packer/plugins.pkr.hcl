# In a file of its own: `packer validate` of the rest works without a network and with older versions when this file is
# left out.
packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.3.0"
    }
  }
}
