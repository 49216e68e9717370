{{/* With room for -admin, -redis and -probe in the 63 octets of a name. */}}
{{- define "postern.name" -}}
{{- $name := ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) }}
{{- $name | trunc 57 | trimSuffix "-" }}
{{- end }}

{{- define "postern.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "postern.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "postern.selector" . }}
{{- end }}

{{- define "postern.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "postern.hasToken" -}}
{{- if or .Values.adminToken.value .Values.adminToken.existingSecret }}yes{{ end }}
{{- end }}

{{- define "postern.hasPassword" -}}
{{- if or .Values.redis.password .Values.redis.existingSecret }}yes{{ end }}
{{- end }}

{{/* postern.yaml: what the values make, and `config` over it. */}}
{{- define "postern.config" -}}
{{- $listener := dict "bind" (list "0.0.0.0:2525" "[::]:2525") }}
{{- with .Values.proxyProtocol.from }}
{{- $_ := set $listener "proxy_protocol" (dict "from" .) }}
{{- end }}
{{- if .Values.tls.secretName }}
{{- $_ := set $listener "certificates" (list (dict "cert" "/etc/postern-tls/tls.crt" "key" "/etc/postern-tls/tls.key")) }}
{{- end }}
{{- $admin := dict "listen" "0.0.0.0:9125" }}
{{- if include "postern.hasToken" . }}
{{- $_ := set $admin "token_file" (printf "/etc/postern-admin/%s" .Values.adminToken.key) }}
{{- end }}
{{- $made := dict "listeners" (list $listener) "upstream" (dict "servers" .Values.upstream.servers) "policy" "policy.yaml" "admin" $admin "watch" true }}
{{- with .Values.redis.url }}
{{- $_ := set $made "state" . }}
{{- end }}
{{- if include "postern.hasPassword" . }}
{{- $_ := set $made "state_password_file" (printf "/etc/postern-redis/%s" .Values.redis.key) }}
{{- end }}
{{- toYaml (mergeOverwrite $made (deepCopy .Values.config)) }}
{{- end }}

{{- define "postern.policy" -}}
{{- if .Values.policy }}
{{- toYaml .Values.policy }}
{{- else }}
{{- $starttls := ternary "terminate" "hide" (ne .Values.tls.secretName "") }}
{{- toYaml (dict "version" 1 "accepted_domains" .Values.acceptedDomains "connectors" (list (dict "name" "internet" "remote_ip_ranges" (list "any") "starttls" $starttls))) }}
{{- end }}
{{- end }}
