{{/* The names and labels of the release's objects. */}}

{{- define "rollcall.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 40 characters: a name with a suffix then fits the 63 characters of a label. */}}
{{- define "rollcall.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "rollcall.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "rollcall.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/*
The name of cluster-wide objects. It contains the namespace, so that releases of one name in two
namespaces have different objects.
*/}}
{{- define "rollcall.clusterName" -}}
{{- if eq .Release.Namespace (include "rollcall.fullname" .) -}}
{{- include "rollcall.fullname" . -}}
{{- else -}}
{{- printf "%s-%s" .Release.Namespace (include "rollcall.fullname" .) -}}
{{- end -}}
{{- end -}}

{{- define "rollcall.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "rollcall.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "rollcall.leaseNamespace" -}}
{{- default .Release.Namespace .Values.leaderElection.leaseNamespace -}}
{{- end -}}

{{/*
The name of the Lease. Operators that share a Lease act as replicas of each other, so each release
has its own Lease.
*/}}
{{- define "rollcall.leaseName" -}}
{{- if .Values.leaderElection.leaseName -}}
{{- .Values.leaderElection.leaseName -}}
{{- else if eq .Release.Namespace (include "rollcall.leaseNamespace" .) -}}
{{- include "rollcall.fullname" . -}}
{{- else -}}
{{- include "rollcall.clusterName" . | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "rollcall.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The labels that select a component's pods: (dict "context" $ "component" "operator"). */}}
{{- define "rollcall.selectorLabels" -}}
app.kubernetes.io/name: {{ include "rollcall.name" .context }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "rollcall.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .context.Chart.Name .context.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "rollcall.selectorLabels" . }}
app.kubernetes.io/version: {{ .context.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .context.Release.Service }}
app.kubernetes.io/part-of: rollcall
{{- with .context.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}
