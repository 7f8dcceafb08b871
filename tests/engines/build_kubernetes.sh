#!/usr/bin/env bash
# Builds a Kubernetes API server with its etcd and kube-score from their Go modules, and takes the
# custom resources of the training operator and of KServe from theirs: build_kubernetes.sh FOLDER
#
# FOLDER/bin and FOLDER/crds are what the tests of this folder need; it takes about 10 minutes.
set -euo pipefail

KUBERNETES=1.36.3
ETCD=3.6.16
TRAINING_OPERATOR=1.8.1
KSERVE=0.15.2
KUBE_SCORE=1.20.0

mkdir -p "$1"/{bin,crds,apiserver,etcd}
folder=$(cd "$1" && pwd)

# Prints a field of what the Go command says of a module.
module() {
    go mod download -json "$1" | sed -n "s/^\t\"$2\": \"\(.*\)\",\{0,1\}$/\1/p"
}

cd "$folder/apiserver"
definition=$(module "k8s.io/kubernetes@v$KUBERNETES" GoMod)
{
    echo "module apiserver"
    grep '^go ' "$definition"
    echo "require k8s.io/kubernetes v$KUBERNETES"
    # In Kubernetes' own repository these are folders.
    sed -n "s|^\t\(k8s.io/[a-z0-9.-]*\) v0\.0\.0\( // indirect\)\{0,1\}$|replace \1 => \1 v0.${KUBERNETES#1.}|p" \
        "$definition"
} >go.mod
cat >main.go <<'GO'
//go:build tools

package apiserver

import _ "k8s.io/kubernetes/cmd/kube-apiserver"
GO
go mod tidy
go build -ldflags "-s -w" -o "$folder/bin/kube-apiserver" k8s.io/kubernetes/cmd/kube-apiserver

cd "$folder/etcd"
cat >main.go <<'GO'
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
GO
test -e go.mod || go mod init etcd
go get "go.etcd.io/etcd/server/v3@v$ETCD"
go mod tidy
go build -ldflags "-s -w" -o "$folder/bin/etcd" .

operator=$(module "github.com/kubeflow/training-operator@v$TRAINING_OPERATOR" Dir)
kserve=$(module "github.com/kserve/kserve@v$KSERVE" Dir)
install -m 644 "$operator/manifests/base/crds/kubeflow.org_tfjobs.yaml" \
    "$kserve/config/crd/full/serving.kserve.io_inferenceservices.yaml" "$folder/crds"

GOBIN="$folder/bin" go install "github.com/zegl/kube-score/cmd/kube-score@v$KUBE_SCORE"
