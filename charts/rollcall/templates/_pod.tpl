{{/* How is any pod of the release made? */}}

{{/* Where and as whom a pod runs, which is the same for all of them. */}}
{{- define "rollcall.podPlace" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "rollcall.containerImage" -}}
image: {{ include "rollcall.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- end -}}

{{/* Constraints that name no pods are about those of the operator. */}}
{{- define "rollcall.topologySpreadConstraints" -}}
{{- $selector := dict "matchLabels" (include "rollcall.selectorLabels" (dict "context" . "component" "operator") | fromYaml) -}}
{{- range .Values.topologySpreadConstraints }}
- {{ ternary . (merge (dict "labelSelector" $selector) .) (hasKey . "labelSelector") | toYaml | nindent 2 | trim }}
{{- end }}
{{- end -}}
