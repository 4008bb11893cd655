import { locationOf, type ArchiveLocation } from '../archive/archive-location.ts'
import { JOBS, type Job } from '../catalogue.ts'
import { displayUrl, parseDatabaseUrl } from '../database/url/database-url.ts'
import type { DatabaseUrl } from '../database/url/url-types.ts'
import { FOREVER, type Rule } from '../policy/rules.ts'
import { parseDuration } from '../time/clock.ts'
import type { Environment } from './layer.ts'
import { rulesOf, type RuleValue } from './retention-rules.ts'
import { SETTINGS, type LogFormat, type LogLevel, type Values } from './schema.ts'

/** The configuration as the program takes it: plain, frozen data. */
export interface Settings {
  readonly database: {
    readonly url: DatabaseUrl
    /** `undefined`: nobody chose one. */
    readonly schema: string | undefined
    readonly timeZone: string
    readonly connectTimeoutMs: number
  }
  readonly migrations: { readonly enabled: boolean; readonly lockTimeoutMs: number }
  /** In catalogue order. */
  readonly jobs: readonly JobSettings[]
  readonly archive: {
    readonly enabled: boolean
    /** A folder, relative to the working directory, or a bucket. */
    readonly location: ArchiveLocation
    /** How a bucket is reached. */
    readonly s3: {
      readonly endpoint: string | undefined
      readonly region: string | undefined
      readonly pathStyle: boolean | undefined
      readonly insecure: boolean
    }
    /** Where files are written before they are sent to a bucket, relative to the working directory; `undefined`: in the temporary folder. */
    readonly spool: string | undefined
    /** `undefined`: for ever. */
    readonly retentionMs: number | undefined
  }
  readonly partitions: { readonly enabled: boolean; readonly aheadMs: number }
  readonly schedule: { readonly timeZone: string; readonly catchUp: boolean }
  readonly log: { readonly level: LogLevel; readonly format: LogFormat }
  readonly health: { readonly file: string | undefined }
  readonly http: {
    readonly enabled: boolean
    readonly host: string
    readonly port: number
    /** `undefined`: that is nobody's choice. */
    readonly allowedHosts: readonly string[] | undefined
  }
  readonly metrics: { readonly textfile: string | undefined }
  /** Relative to the working directory; `undefined`: receipts are not signed. */
  readonly receipts: { readonly keyFile: string | undefined }
  /** For the `config` command, in the order of the documents. */
  readonly entries: readonly SettingEntry[]
  /** Ignored input, for the log at start. */
  readonly notes: readonly string[]
  /** Probable mistakes, for the log at start. */
  readonly warnings: readonly string[]
}

export interface JobSettings {
  readonly job: Job
  readonly enabled: boolean
  readonly schedule: string
  /** `undefined`: the job has none. */
  readonly retentionMs: number | undefined
  /** Rows that are kept longer. */
  readonly rules: readonly Rule[]
  /** 0: the job has none. */
  readonly graceMs: number
  /** The gateway's tables whose rows may go along. */
  readonly cascade: readonly string[]
}

export type SettingValue = string | number | boolean | readonly string[] | readonly RuleValue[] | null

export interface SettingEntry {
  readonly key: string
  /** As a person writes it, without secrets; null: none. */
  readonly value: SettingValue
  readonly source: string
}

export interface Resolved {
  readonly values: Values
  readonly sources: ReadonlyMap<string, string>
  readonly notes: readonly string[]
  readonly warnings: readonly string[]
  /** Keys that somebody set: in a file of their own, in the environment or in the database URL. */
  readonly chosen: ReadonlySet<string>
  /** libpq's variables count where the database URL is silent. */
  readonly env: Environment
}

/** From values that were checked. */
export function toSettings({ values, sources, notes, warnings, chosen, env }: Resolved): Settings {
  const { database, migrations, jobs, archive, partitions, schedule, log, health, http, metrics, receipts } = values
  const url = parseDatabaseUrl(database.url, env)
  return frozen({
    database: {
      url,
      schema: chosen.has('database.schema') ? database.schema : undefined,
      timeZone: database.timeZone,
      connectTimeoutMs: milliseconds(database.connectTimeout),
    },
    migrations: { enabled: migrations.enabled, lockTimeoutMs: milliseconds(migrations.lockTimeout) },
    jobs: JOBS.map((job) => {
      const { enabled, schedule: when, retention, rules, grace = '0s', cascade } = jobs[job.settings]!
      return {
        job,
        enabled,
        schedule: when,
        retentionMs: retention === undefined ? undefined : milliseconds(retention),
        rules: rulesOf(rules),
        graceMs: milliseconds(grace),
        cascade: cascade ?? [],
      }
    }),
    archive: {
      enabled: archive.enabled,
      location: locationOf(archive.directory),
      s3: {
        endpoint: archive.s3.endpoint ?? undefined,
        region: archive.s3.region ?? undefined,
        pathStyle: archive.s3.pathStyle ?? undefined,
        insecure: archive.s3.insecure,
      },
      spool: archive.spool ?? undefined,
      retentionMs: archive.retention === FOREVER ? undefined : milliseconds(archive.retention),
    },
    partitions: { enabled: partitions.enabled, aheadMs: milliseconds(partitions.ahead) },
    schedule: { timeZone: schedule.timeZone, catchUp: schedule.catchUp },
    log: { level: log.level, format: log.format },
    health: { file: health.file ?? undefined },
    http: { enabled: http.enabled, host: http.host, port: http.port, allowedHosts: http.allowedHosts ?? undefined },
    metrics: { textfile: metrics.textfile ?? undefined },
    receipts: { keyFile: receipts.keyFile ?? undefined },
    entries: SETTINGS.map(({ key, sensitive }) => ({
      key,
      value: sensitive === true ? displayUrl(url) : valueAt(values, key),
      source: [sources.get(key) ?? 'default', ...(sensitive === true && url.engine === 'postgres' ? url.variables : [])].join(', '),
    })),
    notes: [...notes, ...url.notes],
    warnings,
  })
}

function milliseconds(text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined) throw new Error(`not a duration: ${text}`)
  return ms
}

function valueAt(values: Values, key: string): SettingValue {
  const value = key
    .split('.')
    .reduce<unknown>((node, name) => (typeof node === 'object' && node !== null ? Reflect.get(node, name) : node), values)
  if (Array.isArray(value)) return value.every(isRuleValue) ? value : value.map(String)
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null
}

/** Of checked values only rules are sections in a list. */
function isRuleValue(value: unknown): value is RuleValue {
  return typeof value === 'object' && value !== null
}

function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) frozen(inner)
  }
  return value
}
