#!/usr/bin/env bash
# Writes go/*/go.mod and go.sum anew from versions.env: one throw-away module per program, that builds it as a tool.
# Exact versions only: a module's list of versions, which `@latest` needs, is not served for all of them.
set -euo pipefail
cd "$(dirname "$0")"
# shellcheck source=/dev/null
source versions.env

lock() { # name, then packages at their versions
  local directory=go/$1
  mkdir -p "$directory"
  (
    cd "$directory"
    # what is there stays, so that only what was asked for moves
    [ -f go.mod ] || printf 'module user-analytics/%s\n\ngo 1.24.0\n' "$1" >go.mod
    [ "$1" != kubernetes ] || replace_staging
    go get -tool "${@:2}"
    go mod edit -toolchain=none
  )
}

# k8s.io/kubernetes takes its libraries from its own repository; as a dependency it needs their releases.
replace_staging() {
  local its_modules
  its_modules=$(cd / && go mod download -json "k8s.io/kubernetes@$KUBERNETES_VERSION" | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')
  sed -n 's|^\t\(k8s.io/[^ ]*\) => ./staging/.*|\1|p' "$its_modules" | while read -r module; do
    go mod edit -replace="$module=$module@v0${KUBERNETES_VERSION#v1}"
  done
}

kubernetes=()
for program in kubeadm kubectl kubelet kube-apiserver kube-controller-manager kube-proxy kube-scheduler; do
  kubernetes+=("k8s.io/kubernetes/cmd/$program@$KUBERNETES_VERSION")
done
lock kubernetes "${kubernetes[@]}"
lock etcd "go.etcd.io/etcd/server/v3@$ETCD_VERSION"
lock coredns "github.com/coredns/coredns@$COREDNS_VERSION"
lock local-path-provisioner "github.com/rancher/local-path-provisioner@$LOCAL_PATH_PROVISIONER_VERSION"
lock kind "sigs.k8s.io/kind@$KIND_VERSION"
lock helm "helm.sh/helm/v3/cmd/helm@$HELM_VERSION"
lock spark-operator "github.com/kubeflow/spark-operator/v2/cmd/operator@$SPARK_OPERATOR_VERSION"
lock kubeconform "github.com/yannh/kubeconform/cmd/kubeconform@$KUBECONFORM_VERSION"
lock kube-score "github.com/zegl/kube-score/cmd/kube-score@$KUBE_SCORE_VERSION"
lock minio "github.com/minio/minio@$MINIO_VERSION"
