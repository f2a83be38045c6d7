{{- define "kani-tts.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "kani-tts.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "kani-tts.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "kani-tts.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "kani-tts.selectorLabels" -}}
app.kubernetes.io/name: {{ include "kani-tts.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "kani-tts.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "kani-tts.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "kani-tts.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "kani-tts.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "kani-tts.secretName" -}}
{{- default (printf "%s-keys" (include "kani-tts.fullname" .)) .Values.auth.existingSecret }}
{{- end }}

{{/* True if more than one pod may run at a time. */}}
{{- define "kani-tts.several" -}}
{{- if or (and .Values.autoscaling.enabled (gt (int .Values.autoscaling.maxReplicas) 1)) (gt (int .Values.replicaCount) 1) }}true{{ end }}
{{- end }}

{{/* True if only a single node can mount the volume, so that the old pod has to go first. */}}
{{- define "kani-tts.singleNode" -}}
{{- range list .Values.persistence .Values.cache }}
{{- if and .enabled (not .existingClaim) (ne .accessMode "ReadWriteMany") }}true{{ end }}
{{- end }}
{{- end }}

{{/* Names under which the server is asked for: of the service, and of the ingress. */}}
{{- define "kani-tts.hosts" -}}
{{- $name := include "kani-tts.fullname" . }}
{{- $hosts := list $name (printf "%s.%s" $name .Release.Namespace) (printf "%s.%s.svc" $name .Release.Namespace) }}
{{- $hosts = append $hosts (printf "%s.%s.svc.cluster.local" $name .Release.Namespace) }}
{{- if .Values.ingress.enabled }}
{{- range .Values.ingress.hosts }}{{ $hosts = append $hosts .host }}{{ end }}
{{- end }}
{{- join "," $hosts }}
{{- end }}
