"""The cluster's PKI: authorities, leaf certificates, kubeconfigs, expiry, renewal, adoption."""

from pyk8s.pki.authorities import AUTHORITY_FILES, AuthorityError, adopt, authority_fingerprint, fingerprint_of
from pyk8s.pki.certificates import RENEWAL_WINDOW
from pyk8s.pki.issue import Change, Changes, ensure, pki_directory, renew
from pyk8s.pki.kubeconfigs import kubeconfig, write_admin_kubeconfig
from pyk8s.pki.node_files import COMPONENTS, NodeFile, files_for
from pyk8s.pki.plan import CLUSTER_ADMINS, HEALTH_USER, KUBELET_API, Leaf, leaves
from pyk8s.pki.status import CertificateStatus, expiry

__all__ = [
    "AUTHORITY_FILES",
    "CLUSTER_ADMINS",
    "COMPONENTS",
    "HEALTH_USER",
    "KUBELET_API",
    "RENEWAL_WINDOW",
    "AuthorityError",
    "CertificateStatus",
    "Change",
    "Changes",
    "Leaf",
    "NodeFile",
    "adopt",
    "authority_fingerprint",
    "ensure",
    "expiry",
    "files_for",
    "fingerprint_of",
    "kubeconfig",
    "leaves",
    "pki_directory",
    "renew",
    "write_admin_kubeconfig",
]
