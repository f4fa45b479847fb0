{{/* The flags of the operator, one in each line. */}}

{{- define "rollcall.onOff" -}}
{{- if kindIs "bool" . -}}{{ ternary "on" "off" . }}{{- else -}}{{ . }}{{- end -}}
{{- end -}}

{{/* The flags for the watched namespaces. No flags means all namespaces. */}}
{{- define "rollcall.scopeFlags" -}}
{{- range .Values.watchNamespaces }}
- --watch-namespace={{ . }}
{{- end }}
{{- end -}}

{{/* The bearers, as a JSON list. The default with the simulator is a user of the simulator. */}}
{{- define "rollcall.chimeBearers" -}}
{{- if and .Values.simulator.enabled (not .Values.chimeBearers) -}}
{{- list .Values.simulator.chimeBearer | toJson -}}
{{- else -}}
{{- .Values.chimeBearers | toJson -}}
{{- end -}}
{{- end -}}

{{/* The environment variables for the service's endpoint and credentials. */}}
{{- define "rollcall.serviceEnv" -}}
{{- with .Values.aws.region }}
- name: AWS_REGION
  value: {{ . | quote }}
{{- end }}
{{- if .Values.simulator.enabled }}
- name: AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING
  value: http://{{ include "rollcall.fullname" . }}-simulator.{{ .Release.Namespace }}.svc:4010
# The simulator accepts any credentials.
- name: AWS_ACCESS_KEY_ID
  value: simulator
- name: AWS_SECRET_ACCESS_KEY
  value: simulator
{{- else if .Values.aws.endpointUrl }}
- name: AWS_ENDPOINT_URL_CHIME_SDK_MESSAGING
  value: {{ .Values.aws.endpointUrl | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The flags for the bearers. */}}
{{- define "rollcall.bearerFlags" -}}
{{- range include "rollcall.chimeBearers" . | fromJsonArray }}
- --chime-bearer={{ . }}
{{- end }}
{{- if .Values.allowBearerOverride }}
- --allow-bearer-override
{{- end }}
{{- end -}}

{{/* The flags of `rollcall doctor`, which must match the operator's. */}}
{{- define "rollcall.doctorFlags" -}}
- --cluster=on
{{- include "rollcall.bearerFlags" . }}
- --members-from={{ include "rollcall.onOff" .Values.membersFrom }}
{{- include "rollcall.scopeFlags" . }}
{{- if .Values.leaderElection.enabled }}
- --lease-namespace={{ include "rollcall.leaseNamespace" . }}
- --lease-name={{ include "rollcall.leaseName" . }}
{{- end }}
{{- end -}}

{{- define "rollcall.runFlags" -}}
{{- include "rollcall.bearerFlags" . }}
{{- range .Values.formerBearers }}
- --former-bearer={{ . }}
{{- end }}
- --removals={{ include "rollcall.onOff" .Values.removals }}
- --max-removals-per-hour={{ .Values.maxRemovalsPerHour | int64 }}
{{- if .Values.allowAuthoritative }}
- --allow-authoritative
{{- end }}
{{- if .Values.readOnly }}
- --read-only
{{- end }}
- --members-from={{ include "rollcall.onOff" .Values.membersFrom }}
{{- include "rollcall.scopeFlags" . }}
- --resync-interval={{ .Values.resyncInterval }}
- --min-resync-interval={{ .Values.minResyncInterval }}
- --quota-share={{ .Values.quotaShare }}
{{- if not (kindIs "invalid" .Values.bearerRate) }}
- --bearer-rate={{ .Values.bearerRate }}
{{- end }}
{{- if not (kindIs "invalid" .Values.channelBatchRate) }}
- --channel-batch-rate={{ .Values.channelBatchRate }}
{{- end }}
{{- if not (kindIs "invalid" .Values.channelListRate) }}
- --channel-list-rate={{ .Values.channelListRate }}
{{- end }}
- --concurrency={{ .Values.concurrency | int64 }}
- --log-format={{ .Values.logFormat }}
{{- if .Values.leaderElection.enabled }}
- --leader-elect
- --lease-namespace={{ include "rollcall.leaseNamespace" . }}
- --lease-name={{ include "rollcall.leaseName" . }}
- --lease-duration={{ .Values.leaderElection.leaseDuration }}
{{- end }}
{{- if .Values.health.enabled }}
- --health-address={{ .Values.health.host }}:{{ .Values.health.port | int64 }}
{{- end }}
{{- if .Values.metrics.enabled }}
- --metrics-address={{ .Values.metrics.host }}:{{ .Values.metrics.port | int64 }}
- --metrics-per-resource={{ include "rollcall.onOff" .Values.metrics.perResource }}
{{- end }}
{{- if .Values.grants }}
- --grants=/etc/rollcall/grants.yaml
{{- end }}
{{- range .Values.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}
