{{/* Name of every object: the release's when it says minio already, else both. */}}
{{- define "minio.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 48 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 48 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects the release's pods; never changes, and so stands in immutable fields too. */}}
{{- define "minio.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "minio.labels" -}}
{{ include "minio.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: user-analytics
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Pod Security "restricted", and a file system that only volumes make writable. */}}
{{- define "minio.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "minio.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Image of the pods that talk to MinIO. */}}
{{- define "minio.clientImage" -}}
{{ .Values.client.image.repository }}:{{ .Values.client.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* Fail at install, not minutes later in a pod, when a Secret or a key of it is missing. Rendering without a
     cluster, where nothing can be looked up, passes: every namespace has a ServiceAccount "default". */}}
{{- define "minio.requireSecrets" -}}
{{- if lookup "v1" "ServiceAccount" .Release.Namespace "default" -}}
{{- range $of := prepend .Values.users .Values.auth -}}
{{- $data := (lookup "v1" "Secret" $.Release.Namespace $of.existingSecret).data | default dict -}}
{{- range $key := list $of.userKey $of.passwordKey -}}
{{- if not (hasKey $data $key) -}}
{{- fail (printf "Secret %s in namespace %s has no key %s (%s): create it first, as `make cluster-up` does" $of.existingSecret $.Release.Namespace $key (ternary "users" "auth" (hasKey $of "buckets"))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
