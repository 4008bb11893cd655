import { join, resolve } from 'node:path'
import { locationOf } from '../archive/archive-location.ts'
import { isLoopback } from '../archive/loopback.ts'
import { JOBS } from '../catalogue.ts'
import { parseDatabaseUrl } from '../database/url/database-url.ts'
import type { DatabaseUrl } from '../database/url/url-types.ts'
import { MaintenanceError } from '../errors.ts'
import { withoutCredentials } from '../secrets/foreign-text.ts'
import { parseDuration } from '../time/clock.ts'
import { CONFIG_FILE, readEnvironment, urlInFile } from './environment.ts'
import type { Environment, Layer } from './layer.ts'
import { ruleContradictions } from './rule-contradictions.ts'
import { createConfig, meantValue, settingProblems, SETTINGS, type Values } from './schema.ts'
import { readFile } from './settings-file.ts'
import { toSettings, type Settings } from './settings.ts'

export type { JobSettings, SettingEntry, Settings } from './settings.ts'

export interface Sources {
  /** Holds `config/default.yaml`. */
  readonly packageRoot: string
  /** Relative file names start here. */
  readonly workingDirectory: string
  readonly env: Environment
  /** Named on the command line; if it is not, `MAINTENANCE_CONFIG` counts. */
  readonly configFile: string | undefined
  /** Another place for the archive that a command names. */
  readonly archivePlace?: string | undefined
}

/**
 * Reads all sources, weakest first, and checks every value in each, even those that a stronger source overrides. Rejects with `CONFIG_INVALID` and every
 * problem, one per line, each with its key and source; never a secret.
 */
export async function loadSettings({ packageRoot, workingDirectory, env, configFile, archivePlace }: Sources): Promise<Settings> {
  const named = configFile ?? env[CONFIG_FILE] ?? ''
  const layers = [
    await readFile(join(packageRoot, SHIPPED), SHIPPED),
    ...(named === '' ? [] : [await readFile(resolve(workingDirectory, named), withoutCredentials(named))]),
    await readEnvironment(env, workingDirectory),
  ]

  const config = createConfig()
  const problems = layers.flatMap((layer) => layer.problems)
  const origins = new Map<string, string>()
  /** The strongest of each setting, valid or not. */
  const strongest = new Map<string, Layer['given'][number]>()
  const take = ({ key, value: given, source, where }: Layer['given'][number]): void => {
    const setting = SETTINGS.find((each) => each.key === key)!
    const value = meantValue(setting, given)
    const wrong = settingProblems(setting, value)
    strongest.set(key, { key, value, source, where })
    problems.push(...wrong.map(({ part, problem }) => `${key}${part} (${where}): ${problem}`))
    if (wrong.length > 0) return
    config.set(key, value)
    origins.set(key, source)
  }
  for (const given of layers.flatMap((layer) => layer.given)) take(given)
  const rules = ruleContradictions(strongest)
  problems.push(...rules.problems)
  const chosen = new Set([...origins].flatMap(([key, source]) => (source === SHIPPED ? [] : [key])))
  if (problems.length === 0) {
    const url = parseDatabaseUrl(config.getProperties().database.url, env)
    // Prisma's parameter counts as the setting, if that is not set.
    if (url.engine === 'postgres' && url.namedSchema !== undefined && !chosen.has(SCHEMA_KEY)) {
      take({ key: SCHEMA_KEY, value: url.namedSchema, source: IN_URL, where: IN_URL })
      chosen.add(SCHEMA_KEY)
    }
    if (problems.length === 0) problems.push(...contradictions(config.getProperties(), env, archivePlace))
  }
  if (problems.length > 0) throw new MaintenanceError('CONFIG_INVALID', problems)

  config.validate({ allowed: 'strict' })
  return toSettings({
    values: config.getProperties(),
    sources: origins,
    notes: [...layers.flatMap((layer) => layer.notes), ...rules.notes],
    warnings: [...layers.flatMap((layer) => layer.warnings), ...rules.warnings],
    chosen,
    env,
  })
}

/** For a login that was renewed while the program runs; `undefined`: the URL is in no file, or what the file holds cannot be used. */
export function readUrlAgain({ env, workingDirectory }: Pick<Sources, 'env' | 'workingDirectory'>): DatabaseUrl | undefined {
  try {
    const text = urlInFile(env, workingDirectory)
    return text === undefined ? undefined : parseDatabaseUrl(text, env)
  } catch {
    // A file that is just being replaced: the next attempt reads it again.
    return undefined
  }
}

const SHIPPED = 'config/default.yaml'
const SCHEMA_KEY = 'database.schema'
const IN_URL = 'schema in the database URL'

/** Values that are valid by themselves but not together. */
function contradictions(values: Values, env: Environment, archivePlace: string | undefined): readonly string[] {
  const { textfile } = values.metrics
  return [
    ...schemaContradiction(values.database, env),
    ...archiveContradictions(values),
    ...bucketContradictions(values, archivePlace),
    ...(textfile === null || textfile.endsWith('.prom') ? [] : [NOT_COLLECTED]),
  ]
}

const NOT_COLLECTED = 'metrics.textfile: the name does not end in .prom, and node_exporter ignores any other'

/** Both count from the time of the row, so rows would be removed from the archive as soon as they are archived. */
function archiveContradictions({ archive, jobs }: Values): readonly string[] {
  const keptMs = parseDuration(archive.retention)
  if (!archive.enabled || keptMs === undefined) return []
  return JOBS.flatMap((job) => {
    const retention = jobs[job.settings]?.retention
    if (job.archived !== true || retention === undefined || keptMs > parseDuration(retention)!) return []
    return [
      `archive.retention: it is ${archive.retention}, but rows are archived when they are ${retention} old (jobs.${job.settings}.retention); it has to be longer`,
    ]
  })
}

/** What is said of buckets where the archive lies in a folder would silently do nothing; the bucket's name was forgotten, perhaps. */
function bucketContradictions({ archive }: Values, archivePlace: string | undefined): readonly string[] {
  if (!archive.enabled) return []
  const { endpoint, insecure } = archive.s3
  if ([archive.directory, archivePlace ?? ''].every((place) => locationOf(place).kind === 'folder')) {
    const { spool } = archive
    const given = Object.entries({ ...archive.s3, insecure: insecure ? true : null }).flatMap(([name, value]) =>
      value === null ? [] : [`archive.s3.${name}`],
    )
    const idle = [...given, ...(spool === null ? [] : ['archive.spool'])]
    return idle.map(
      (key) =>
        `${key}: it is for an archive in a bucket, and archive.directory names a folder; write s3://bucket/path there, or leave ${key} out`,
    )
  }
  const { protocol, hostname } = new URL(endpoint ?? 'https://localhost')
  if (protocol === 'https:' || insecure || isLoopback(hostname)) return []
  return [
    `archive.s3.endpoint: ${hostname} is another machine, and rows would be sent to it in clear text; write https://, or set ARCHIVE_S3_INSECURE=true where nobody else is on the way`,
  ]
}

function schemaContradiction(database: Values['database'], env: Environment): readonly string[] {
  const url = parseDatabaseUrl(database.url, env)
  if (url.engine !== 'postgres') return []
  const other = [url.namedSchema, url.schema].find((each) => each !== undefined && each !== database.schema)
  if (other === undefined) return []
  return [
    `database.schema: it is ${JSON.stringify(database.schema)}, but the database URL looks in ${JSON.stringify(other)}; set DATABASE_SCHEMA to the schema that holds the gateway’s tables`,
  ]
}
