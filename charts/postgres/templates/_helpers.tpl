{{/* Name of every object: the release's when it says postgres already, else both. */}}
{{- define "postgres.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 48 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 48 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects the release's pods; never changes, and so stands in immutable fields too. */}}
{{- define "postgres.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "postgres.labels" -}}
{{ include "postgres.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: user-analytics
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Pod Security "restricted", and a file system that only volumes make writable. */}}
{{- define "postgres.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 999
runAsGroup: 999
fsGroup: 999
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "postgres.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 999
runAsGroup: 999
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "postgres.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* Every user but the superuser, with its database and where its password is: owners and readers alike. */}}
{{- define "postgres.users" -}}
{{- $users := list -}}
{{- range $database := .Values.databases -}}
{{- range $user := prepend ($database.readers | default list) $database -}}
{{- $users = append $users (dict "user" $user.user "database" $database.name "existingSecret" $user.existingSecret "key" $user.key) -}}
{{- end -}}
{{- end -}}
{{- toJson $users -}}
{{- end -}}

{{/* Fail at install, not minutes later in a pod, when a Secret or a key of it is missing. Rendering without a
     cluster, where nothing can be looked up, passes: every namespace has a ServiceAccount "default". */}}
{{- define "postgres.requireSecrets" -}}
{{- if lookup "v1" "ServiceAccount" .Release.Namespace "default" -}}
{{- range prepend (include "postgres.users" . | fromJsonArray) .Values.auth -}}
{{- $data := (lookup "v1" "Secret" $.Release.Namespace .existingSecret).data | default dict -}}
{{- if not (hasKey $data .key) -}}
{{- fail (printf "Secret %s in namespace %s has no key %s (the password of %s): create it first, as `make cluster-up` does" .existingSecret $.Release.Namespace .key (.user | default "postgres")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
