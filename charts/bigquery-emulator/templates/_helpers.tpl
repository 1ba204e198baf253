{{/* Name of every object: the release's when it says bigquery-emulator already, else both. */}}
{{- define "bigquery-emulator.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 48 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 48 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects the release's pods; never changes, and so stands in immutable fields too. */}}
{{- define "bigquery-emulator.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "bigquery-emulator.labels" -}}
{{ include "bigquery-emulator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: user-analytics
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Pod Security "restricted", and a file system that only volumes make writable. */}}
{{- define "bigquery-emulator.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "bigquery-emulator.securityContext" -}}
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

{{- define "bigquery-emulator.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* Fail at install, not minutes later in a pod, when the Secret or a key of it is missing. Rendering without a
     cluster, where nothing can be looked up, passes: every namespace has a ServiceAccount "default". */}}
{{- define "bigquery-emulator.requireSecret" -}}
{{- if lookup "v1" "ServiceAccount" .Release.Namespace "default" -}}
{{- $data := (lookup "v1" "Secret" .Release.Namespace .Values.tls.existingSecret).data | default dict -}}
{{- range $value := list "certificateKey" "privateKeyKey" "authorityKey" -}}
{{- $key := index $.Values.tls $value -}}
{{- if not (hasKey $data $key) -}}
{{- fail (printf "Secret %s in namespace %s has no key %s (tls.existingSecret, tls.%s): create it first, as `make cluster-up` does" $.Values.tls.existingSecret $.Release.Namespace $key $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
