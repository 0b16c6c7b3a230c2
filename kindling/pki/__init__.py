"""The cluster's authorities and what they sign, made as kubeadm makes them."""
