{{/* Name of every object begins with it: the release's when it says airflow already, else both. */}}
{{- define "airflow.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects the release's pods; never changes, and so stands in immutable fields too. */}}
{{- define "airflow.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "airflow.labels" -}}
{{ include "airflow.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: user-analytics
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Of a pod that runs the DAGs' code. The last two let it reach what sends alerts, and the repository of the DAGs. */}}
{{- define "airflow.dagPodLabels" -}}
{{ include "airflow.selectorLabels" . }}
app.kubernetes.io/part-of: user-analytics
{{- if .Values.dags.alert.existingSecret }}
user-analytics/alert-client: "true"
{{- end }}
{{- if .Values.dags.gitSync.repo }}
user-analytics/git-client: "true"
{{- end }}
{{- end -}}

{{/* Pod Security "restricted", and a file system that only volumes make writable. */}}
{{- define "airflow.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 50000
runAsGroup: 50000
fsGroup: 50000
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "airflow.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 50000
runAsGroup: 50000
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "airflow.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* Fail at install, not minutes later in a pod, when a Secret or a key of it is missing. Rendering without a
     cluster, where nothing can be looked up, passes: every namespace has a ServiceAccount "default". */}}
{{- define "airflow.requireSecrets" -}}
{{- if lookup "v1" "ServiceAccount" .Release.Namespace "default" -}}
{{- $data := (lookup "v1" "Secret" .Release.Namespace .Values.auth.existingSecret).data | default dict -}}
{{- range $value := list "connectionKey" "fernetKey" "apiSecretKey" "jwtSecretKey" "passwordsKey" "logsConnectionKey" -}}
{{- $key := index $.Values.auth $value -}}
{{- if not (hasKey $data $key) -}}
{{- fail (printf "Secret %s in namespace %s has no key %s (auth.existingSecret, auth.%s): create it first, as `make cluster-up` does" $.Values.auth.existingSecret $.Release.Namespace $key $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Where the DAGs are. */}}
{{- define "airflow.dagsFolder" -}}
{{- if .Values.dags.gitSync.repo -}}
/dags/repository/{{ .Values.dags.gitSync.subPath }}
{{- else -}}
{{ .Values.dags.folder }}
{{- end -}}
{{- end -}}

{{/* The chart's own settings, and over them those of values.config, as airflow.cfg. */}}
{{- define "airflow.configuration" -}}
{{- $own := dict
  "core" (dict
    "executor" .Values.executor
    "dags_folder" (include "airflow.dagsFolder" .)
    "load_examples" false
    "simple_auth_manager_users" .Values.auth.users
    "simple_auth_manager_passwords_file" "/opt/airflow/passwords.json"
    "execution_api_server_url" (printf "http://%s-api-server:8080/execution/" (include "airflow.fullname" .))
    "hostname_callable" "airflow.utils.net.get_host_ip_address"
  )
  "database" (dict
    "sql_alchemy_connect_args" "database_connection.SYNC"
    "sql_alchemy_connect_args_async" "database_connection.ASYNC"
  )
  "api" (dict "base_url" .Values.apiServer.baseUrl "port" 8080 "workers" 1)
  "logging" (dict
    "base_log_folder" "/opt/airflow/logs"
    "remote_logging" true
    "remote_base_log_folder" .Values.logs.remoteFolder
    "remote_log_conn_id" "minio_conn"
    "delete_local_logs" true
    "colored_console_log" false
  )
  "scheduler" (dict "enable_health_check" true "scheduler_health_check_server_port" 8974)
  "usage_data_collection" (dict "enabled" false)
-}}
{{- if .Values.statsd.host -}}
{{- $_ := set $own "metrics" (dict "statsd_on" true "statsd_host" .Values.statsd.host "statsd_port" .Values.statsd.port "statsd_prefix" .Values.statsd.prefix) -}}
{{- end -}}
{{- if eq .Values.executor "KubernetesExecutor" -}}
{{- $_ := set $own "kubernetes_executor" (dict "namespace" .Release.Namespace "pod_template_file" "/etc/airflow/pod_template.yaml" "delete_worker_pods" true) -}}
{{- end -}}
{{- range $section, $options := mergeOverwrite $own (deepCopy .Values.config) }}
[{{ $section }}]
{{- range $name, $value := $options }}
{{- if kindIs "float64" $value }}
{{ $name }} = {{ if eq $value (floor $value) }}{{ int64 $value }}{{ else }}{{ $value }}{{ end }}
{{- else }}
{{ $name }} = {{ $value | toString | replace "%" "%%" | replace "\n" "\n  " }}
{{- end }}
{{- end }}
{{ end }}
{{- end -}}

{{/* Environment of all that is Airflow: secrets, and what the DAGs are told. */}}
{{- define "airflow.environment" -}}
- name: HOME
  value: /tmp
- name: AIRFLOW_HOME
  value: /opt/airflow
- name: AIRFLOW_CONFIG
  value: /etc/airflow/airflow.cfg
- name: PYTHONPATH # database_connection
  value: /etc/airflow
- name: AIRFLOW__DATABASE__SQL_ALCHEMY_CONN
  {{- include "airflow.secretKey" (list . .Values.auth.connectionKey) | nindent 2 }}
- name: AIRFLOW__CORE__FERNET_KEY
  {{- include "airflow.secretKey" (list . .Values.auth.fernetKey) | nindent 2 }}
- name: AIRFLOW__API__SECRET_KEY
  {{- include "airflow.secretKey" (list . .Values.auth.apiSecretKey) | nindent 2 }}
- name: AIRFLOW__API_AUTH__JWT_SECRET
  {{- include "airflow.secretKey" (list . .Values.auth.jwtSecretKey) | nindent 2 }}
- name: AIRFLOW_CONN_MINIO_CONN
  {{- include "airflow.secretKey" (list . .Values.auth.logsConnectionKey) | nindent 2 }}
- name: AIRFLOW_CONN_KUBERNETES_DEFAULT
  value: '{"conn_type": "kubernetes", "extra": {"in_cluster": true}}'
- name: USER_ANALYTICS_PARAMETERS
  value: {{ toJson (deepCopy .Values.dags.parameters | mergeOverwrite (dict "all" (dict "namespace" .Values.jobs.namespace))) | quote }}
- name: USER_ANALYTICS_SCHEDULE
  value: {{ .Values.dags.schedule | quote }}
- name: USER_ANALYTICS_CLEAN_UP_SCHEDULE
  value: {{ .Values.dags.cleanUpSchedule | quote }}
- name: USER_ANALYTICS_PAUSED_UPON_CREATION
  value: {{ .Values.dags.pausedUponCreation | quote }}
- name: USER_ANALYTICS_RETRIES
  value: {{ .Values.dags.retries | quote }}
- name: USER_ANALYTICS_RETRY_DELAY_SECONDS
  value: {{ .Values.dags.retryDelaySeconds | quote }}
- name: USER_ANALYTICS_STARTUP_TIMEOUT_SECONDS
  value: {{ .Values.dags.startupTimeoutSeconds | quote }}
- name: USER_ANALYTICS_EXECUTION_TIMEOUT_SECONDS
  value: {{ .Values.dags.executionTimeoutSeconds | quote }}
{{- with .Values.dags.reportAddress }}
- name: USER_ANALYTICS_REPORT_ADDRESS
  value: {{ . | quote }}
{{- end }}
{{- with .Values.dags.alert.existingSecret }}
- name: USER_ANALYTICS_ALERT_ADDRESS
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $.Values.dags.alert.key }}
{{- end }}
{{- end -}}

{{- define "airflow.secretKey" -}}
valueFrom:
  secretKeyRef:
    name: {{ (index . 0).Values.auth.existingSecret }}
    key: {{ index . 1 }}
{{- end -}}

{{- define "airflow.volumeMounts" -}}
- name: configuration
  mountPath: /etc/airflow
  readOnly: true
- name: home
  mountPath: /opt/airflow
- name: tmp
  mountPath: /tmp
{{- end -}}

{{- define "airflow.volumes" -}}
- name: configuration
  configMap:
    name: {{ include "airflow.fullname" . }}
- name: home # logs until they are in the lake
  emptyDir: {sizeLimit: 256Mi}
- name: tmp
  emptyDir: {sizeLimit: 128Mi}
{{- end -}}

{{/* Starts anew what has another configuration. */}}
{{- define "airflow.annotations" -}}
checksum/configuration: {{ include (print .Template.BasePath "/configmap.yaml") . | fromYaml | dig "data" dict | toJson | sha256sum }}
{{- end -}}

{{/* The part of a pod that all components share, above its containers; called with the account's name. */}}
{{- define "airflow.pod" -}}
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "airflow.podSecurityContext" . | nindent 2 }}
{{- end -}}

{{/* A component starts once the database's tables are those of its version. */}}
{{- define "airflow.waitForMigrations" -}}
- name: wait-for-migrations
  image: {{ include "airflow.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [airflow, db, check-migrations, --migration-wait-timeout=300]
  env:
    {{- include "airflow.environment" . | nindent 4 }}
  resources:
    {{- toYaml .Values.migrateDatabaseJob.resources | nindent 4 }}
  securityContext:
    {{- include "airflow.securityContext" . | nindent 4 }}
  volumeMounts:
    {{- include "airflow.volumeMounts" . | nindent 4 }}
{{- end -}}

{{/* git-sync: once as an init container, then beside what reads the DAGs. */}}
{{- define "airflow.gitSync" -}}
image: {{ .Values.dags.gitSync.image }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  - name: HOME
    value: /tmp
  - name: GITSYNC_REPO
    value: {{ .Values.dags.gitSync.repo | quote }}
  - name: GITSYNC_REF
    value: {{ .Values.dags.gitSync.ref | quote }}
  - name: GITSYNC_PERIOD
    value: {{ .Values.dags.gitSync.periodSeconds }}s
  - name: GITSYNC_DEPTH
    value: "1"
  - name: GITSYNC_ROOT
    value: /dags
  - name: GITSYNC_LINK
    value: repository
  - name: GITSYNC_HTTP_BIND
    value: ":1234"
{{- with .Values.dags.gitSync.credentialsSecret }}
envFrom:
  - secretRef:
      name: {{ . }}
{{- end }}
resources:
  requests: {cpu: 10m, memory: 64Mi, ephemeral-storage: 64Mi}
  limits: {cpu: "1", memory: 256Mi, ephemeral-storage: 512Mi}
securityContext:
  {{- include "airflow.securityContext" . | nindent 2 }}
volumeMounts:
  - name: dags
    mountPath: /dags
  - name: git-sync-tmp
    mountPath: /tmp
{{- end -}}

{{- define "airflow.gitSyncInit" -}}
{{- if .Values.dags.gitSync.repo -}}
- name: git-sync-once
  args: [--one-time]
  {{- include "airflow.gitSync" . | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "airflow.gitSyncSidecar" -}}
{{- if .Values.dags.gitSync.repo -}}
- name: git-sync
  {{- include "airflow.gitSync" . | nindent 2 }}
  startupProbe:
    httpGet: {path: /, port: 1234}
    periodSeconds: 5
    failureThreshold: 60
  readinessProbe:
    tcpSocket: {port: 1234}
    periodSeconds: 10
  livenessProbe:
    httpGet: {path: /, port: 1234}
    periodSeconds: 60
    failureThreshold: 5
{{- end -}}
{{- end -}}

{{- define "airflow.gitSyncMount" -}}
{{- if .Values.dags.gitSync.repo -}}
- name: dags
  mountPath: /dags
  readOnly: true
{{- end -}}
{{- end -}}

{{- define "airflow.gitSyncVolumes" -}}
{{- if .Values.dags.gitSync.repo -}}
- name: dags
  emptyDir: {sizeLimit: 256Mi}
- name: git-sync-tmp
  emptyDir: {sizeLimit: 64Mi}
{{- end -}}
{{- end -}}

{{/* Probes that look for a job's heartbeat in the database: the DAG processor and the triggerer serve nothing. */}}
{{- define "airflow.heartbeatProbes" -}}
startupProbe:
  exec: {command: [python, /etc/airflow/heartbeat.py, {{ . }}, "60"]}
  periodSeconds: 5
  timeoutSeconds: 10
  failureThreshold: 60
readinessProbe:
  exec: {command: [python, /etc/airflow/heartbeat.py, {{ . }}, "60"]}
  periodSeconds: 10
  timeoutSeconds: 10
livenessProbe:
  exec: {command: [python, /etc/airflow/heartbeat.py, {{ . }}, "300"]}
  periodSeconds: 60
  timeoutSeconds: 20
  failureThreshold: 5
{{- end -}}
