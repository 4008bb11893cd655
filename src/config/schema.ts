import convict from 'convict'
import { cascadeVariable, graceOf, retentionOf, rulesVariable, JOBS, type Job } from '../catalogue.ts'
import { GATEWAY_TABLES } from '../database/gateway-tables.ts'
import { DAY, formatDuration } from '../time/clock.ts'
import { FORMATS, FORMAT_NAMES, type FormatName, type Limits } from './formats.ts'
import type { PartProblem } from './layer.ts'
import type { RuleValue } from './retention-rules.ts'

/** One setting, as convict takes it. */
interface Leaf extends Limits {
  readonly doc: string
  readonly format: FormatName
  readonly default: string | number | boolean | null
  readonly env: string
  /** Only shown without its secrets. Today that is the database URL. */
  readonly sensitive?: boolean
  /** May be null in a file: not set. */
  readonly nullable?: boolean
}

export interface Setting extends Leaf {
  readonly key: string
}

/** The values as they are written, durations as text. */
export interface Values {
  readonly database: { readonly url: string; readonly schema: string; readonly timeZone: string; readonly connectTimeout: string }
  readonly migrations: { readonly enabled: boolean; readonly lockTimeout: string }
  readonly jobs: Readonly<Record<string, JobValues>>
  readonly archive: {
    readonly enabled: boolean
    readonly directory: string
    readonly retention: string
    readonly s3: {
      readonly endpoint: string | null
      readonly region: string | null
      readonly pathStyle: boolean | null
      readonly insecure: boolean
    }
    readonly spool: string | null
  }
  readonly partitions: { readonly enabled: boolean; readonly ahead: string }
  readonly schedule: { readonly timeZone: string; readonly catchUp: boolean }
  readonly log: { readonly level: LogLevel; readonly format: LogFormat }
  readonly health: { readonly file: string | null }
  readonly http: {
    readonly enabled: boolean
    readonly host: string
    readonly port: number
    readonly allowedHosts: readonly string[] | null
  }
  readonly metrics: { readonly textfile: string | null }
  readonly receipts: { readonly keyFile: string | null }
}

export interface JobValues {
  readonly enabled: boolean
  readonly schedule: string
  /** Where the job has one. */
  readonly retention?: string
  /** Where the job can have some. */
  readonly rules?: readonly RuleValue[] | null
  /** Where the job has one. */
  readonly grace?: string
  readonly cascade: readonly string[] | null
}

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]
/** As Python, syslog and others have them: the gateway's own environment may be at hand. */
const LOG_LEVEL_ALIASES: Readonly<Record<string, LogLevel>> = {
  warning: 'warn',
  err: 'error',
  critical: 'fatal',
  crit: 'fatal',
  notice: 'info',
  off: 'silent',
  none: 'silent',
}
const LOG_FORMATS = ['auto', 'json', 'pretty'] as const
export type LogFormat = (typeof LOG_FORMATS)[number]

interface Section {
  readonly [name: string]: Leaf | Section
}

/** A file that holds the value of `DATABASE_URL`. */
export const DATABASE_URL_FILE = 'DATABASE_URL_FILE'

const SCHEMA = {
  database: {
    url: {
      doc: 'the gateway’s database, SQLite or PostgreSQL',
      format: 'database URL',
      default: 'sqlite:///secure_mcp_gateway.db',
      env: 'DATABASE_URL',
      sensitive: true,
    },
    schema: { doc: 'where the tables are (PostgreSQL only)', format: 'schema', default: 'public', env: 'DATABASE_SCHEMA' },
    timeZone: { doc: 'the zone of timestamps stored without one', format: 'time zone', default: 'UTC', env: 'DATABASE_TIME_ZONE' },
    connectTimeout: {
      doc: 'how long start-up waits for the database',
      format: 'duration',
      default: '60s',
      env: 'DATABASE_CONNECT_TIMEOUT',
    },
  },
  migrations: {
    enabled: { doc: 'whether migrations are applied at start-up', format: 'truth', default: true, env: 'MIGRATIONS_ENABLED' },
    lockTimeout: {
      doc: 'how long to wait for another worker that is migrating',
      format: 'duration',
      default: '10m',
      env: 'MIGRATIONS_LOCK_TIMEOUT',
    },
  },
  jobs: Object.fromEntries(JOBS.map((job) => [job.settings, jobSection(job)])),
  archive: {
    enabled: {
      doc: 'whether audit logs are written to files before they are deleted',
      format: 'truth',
      default: false,
      env: 'ARCHIVE_ENABLED',
    },
    directory: {
      doc: 'where these files lie: a folder, or s3://bucket/path',
      format: 'place of an archive',
      default: 'archive',
      env: 'ARCHIVE_DIRECTORY',
    },
    retention: {
      doc: 'how long they are kept, from the time of their rows; or forever',
      format: 'retention or forever',
      default: '365d',
      leastMs: DAY,
      env: 'ARCHIVE_RETENTION',
    },
    s3: {
      endpoint: {
        doc: 'the address of the object storage, if it is not that of AWS',
        format: 'endpoint',
        default: null,
        nullable: true,
        env: 'ARCHIVE_S3_ENDPOINT',
      },
      region: {
        doc: 'the region of the bucket, if neither AWS_REGION nor the shared configuration file names it',
        format: 'region',
        default: null,
        nullable: true,
        env: 'ARCHIVE_S3_REGION',
      },
      pathStyle: {
        doc: 'whether the bucket is named in the path of each request; if not set, where an endpoint is given',
        format: 'truth',
        default: null,
        nullable: true,
        env: 'ARCHIVE_S3_PATH_STYLE',
      },
      insecure: {
        doc: 'whether rows may be sent to another machine in clear text',
        format: 'truth',
        default: false,
        env: 'ARCHIVE_S3_INSECURE',
      },
    },
    spool: {
      doc: 'the folder in which files are written before they are sent to a bucket; if not set, in the temporary folder',
      format: 'text',
      default: null,
      nullable: true,
      env: 'ARCHIVE_SPOOL',
    },
  },
  partitions: {
    enabled: {
      doc: 'whether partitions of audit_logs are made and dropped, where `partition start` has made it a partitioned table',
      format: 'truth',
      default: true,
      env: 'PARTITIONS_ENABLED',
    },
    ahead: { doc: 'how far ahead they are made', format: 'retention', default: '14d', leastMs: 4 * DAY, env: 'PARTITIONS_AHEAD' },
  },
  schedule: {
    timeZone: { doc: 'the zone of the schedules', format: 'time zone', default: 'UTC', env: 'SCHEDULE_TIME_ZONE' },
    catchUp: { doc: 'whether a missed run is made up for, once', format: 'truth', default: true, env: 'SCHEDULE_CATCH_UP' },
  },
  log: {
    level: {
      doc: 'the least that is logged',
      format: 'choice',
      choices: LOG_LEVELS,
      aliases: LOG_LEVEL_ALIASES,
      default: 'info' as LogLevel,
      env: 'LOG_LEVEL',
    },
    format: {
      doc: 'auto is text on a terminal, else JSON',
      format: 'choice',
      choices: LOG_FORMATS,
      default: 'auto' as LogFormat,
      env: 'LOG_FORMAT',
    },
  },
  health: {
    file: {
      doc: 'a file the running worker touches every 30 s, for a health check',
      format: 'text',
      default: null,
      nullable: true,
      env: 'HEALTH_FILE',
    },
  },
  http: {
    enabled: {
      doc: 'whether the worker answers /, /metrics, /healthz, /readyz and /status',
      format: 'truth',
      default: false,
      env: 'HTTP_ENABLED',
    },
    host: { doc: 'the address it listens at; 0.0.0.0 or :: is every one', format: 'text', default: '127.0.0.1', env: 'HTTP_HOST' },
    port: { doc: 'the port it listens at; 0 is any free one, named in the log', format: 'port', default: 9465, env: 'HTTP_PORT' },
    allowedHosts: {
      doc: 'the hosts under which / and /status are shown, such as `*.example.com`; none set: all, on loopback `localhost` and addresses only',
      format: 'hosts',
      default: null,
      nullable: true,
      env: 'HTTP_ALLOWED_HOSTS',
    },
  },
  metrics: {
    textfile: {
      doc: 'a file that `--run-now` leaves its metrics in, for the textfile collector of node_exporter',
      format: 'text',
      default: null,
      nullable: true,
      env: 'METRICS_TEXTFILE',
    },
  },
  receipts: {
    keyFile: {
      doc: 'a file with the private ed25519 key by which receipts are signed',
      format: 'text',
      default: null,
      nullable: true,
      env: 'RECEIPTS_KEY_FILE',
    },
  },
} satisfies Section

function jobSection(job: Job) {
  const retention = retentionOf(job)
  const grace = graceOf(job)
  const rules = rulesVariable(job)
  return {
    enabled: { doc: `whether ${job.name} runs`, format: 'truth', default: true, env: `${job.environment}_ENABLED` },
    schedule: { doc: `when ${job.name} runs`, format: 'schedule', default: job.schedule, env: `${job.environment}_SCHEDULE` },
    ...(retention === undefined
      ? {}
      : {
          retention: {
            doc: `how long rows of ${job.table} are kept`,
            format: 'retention' as const,
            default: formatDuration(retention.defaultMs),
            leastMs: retention.leastMs,
            env: retention.environment,
          },
        }),
    ...(retention === undefined || rules === undefined
      ? {}
      : {
          rules: {
            doc: `rows of ${job.table} that are kept longer, by ${job.holdable.by.join(', ')}`,
            format: 'rules' as const,
            choices: job.holdable.by,
            leastMs: retention.leastMs,
            default: null,
            nullable: true,
            env: rules,
          },
        }),
    ...(grace === undefined
      ? {}
      : {
          grace: {
            doc: `how long rows of ${job.table} are kept after they have expired`,
            format: 'grace' as const,
            default: '0s',
            env: grace.environment,
          },
        }),
    cascade: {
      doc: `the gateway’s tables whose rows may go or change along with those of ${job.table}, by a foreign key such as one with ON DELETE CASCADE`,
      format: 'tables',
      choices: GATEWAY_TABLES,
      default: null,
      nullable: true,
      env: cascadeVariable(job),
    },
  } satisfies Section
}

/** Every setting, in the order in which people read them. */
export const SETTINGS: readonly Setting[] = settingsOf(SCHEMA, '')

function settingsOf(section: Section, prefix: string): readonly Setting[] {
  return Object.entries(section).flatMap(([name, node]) =>
    isLeaf(node) ? [{ key: `${prefix}${name}`, ...node }] : settingsOf(node, `${prefix}${name}.`),
  )
}

function isLeaf(node: Leaf | Section): node is Leaf {
  return 'default' in node
}

export interface SettingDescription {
  readonly key: string
  readonly environment: readonly string[]
  /** As a person writes it; null: none. */
  readonly default: string | number | boolean | null
  readonly doc: string
}

/** What the documents say of every setting. */
export function describeSettings(): readonly SettingDescription[] {
  return SETTINGS.map(({ key, env, default: value, doc }) => ({
    key,
    environment: env === 'DATABASE_URL' ? [env, DATABASE_URL_FILE] : [env],
    default: value,
    doc,
  }))
}

/** A value as it is meant, where it may be spelled in several ways. */
export function meantValue(setting: Leaf, value: unknown): unknown {
  const { meant } = FORMATS[setting.format]
  return meant === undefined ? value : meant(value, setting)
}

/** What is wrong with a value of this setting; empty: nothing. */
export function settingProblems(setting: Leaf, value: unknown): readonly PartProblem[] {
  return setting.nullable === true && value === null ? [] : problemsIn(setting.format, value, setting)
}

function problemsIn(format: FormatName, value: unknown, limits: Limits): readonly PartProblem[] {
  const found = FORMATS[format].check(value, limits)
  return typeof found === 'string' ? [{ part: '', problem: found }] : (found ?? [])
}

/** A configuration with the defaults, which reads neither the environment nor the arguments of the process. */
export function createConfig(): convict.Config<Values> {
  // Formats are registered under names, and not names that convict coerces itself (such as 'boolean'), so that values stay unchanged.
  for (const name of FORMAT_NAMES)
    convict.addFormat({
      name,
      validate(value: unknown, { choices, leastMs }: convict.SchemaObj) {
        const problems = problemsIn(name, value, { choices, leastMs })
        if (problems.length > 0) throw new Error(problems.map(({ part, problem }) => `${part} ${problem}`.trim()).join('; '))
      },
    })
  return convict<Values>(SCHEMA, { env: {}, args: [] })
}
