// Writes what the documents repeat from the code: the tables of settings and metrics in README.md.
import { readFileSync, writeFileSync } from 'node:fs'
import { withMetricsTable } from './metrics-table.ts'
import { withSettingsTable } from './settings-table.ts'

const readme = new URL('../README.md', import.meta.url)
writeFileSync(readme, withMetricsTable(withSettingsTable(readFileSync(readme, 'utf8'))))
