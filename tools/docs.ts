// Writes what files repeat: tables in README.md and docs/, the kept figures in bench/README.md, the jobs in config/default.yaml, the JSON schema of the
// settings, and the alert rules as the Prometheus operator takes them.
import { readFileSync, writeFileSync } from 'node:fs'
import { CONFIG_SCHEMA_FILE, configSchemaText } from './config-schema.ts'
import { broughtUpToDate, FILES } from './generated.ts'
import { writePrometheusRules } from './prometheus-rules.ts'

for (const file of FILES) {
  const path = new URL(`../${file}`, import.meta.url)
  writeFileSync(path, broughtUpToDate(file, readFileSync(path, 'utf8')))
}

writeFileSync(new URL(`../${CONFIG_SCHEMA_FILE}`, import.meta.url), configSchemaText())
await writePrometheusRules()
