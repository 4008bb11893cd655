// Writes what files repeat from the code: the tables of jobs, settings, events and metrics in README.md, the jobs in config/default.yaml.
import { readFileSync, writeFileSync } from 'node:fs'
import { broughtUpToDate, FILES } from './generated.ts'

for (const file of FILES) {
  const path = new URL(`../${file}`, import.meta.url)
  writeFileSync(path, broughtUpToDate(file, readFileSync(path, 'utf8')))
}
