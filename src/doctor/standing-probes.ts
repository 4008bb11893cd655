import { retentionOf } from '../catalogue.ts'
import type { Ailment, Condition } from '../database/examining.ts'
import { someClauses } from '../number-text.ts'
import { durationText, minuteText } from '../time/time-text.ts'
import { MINUTE, SECOND } from '../time/clock.ts'
import type { Facts } from './doctor-facts.ts'
import { advice, fault, type Probe, type Told } from './probe.ts'

/** Rights, settings, clocks and leases. */
export const STANDING_PROBES: readonly Probe[] = [
  { code: 'rights-missing', finds: 'the login lacks a right that its jobs need', judge: missingRights },
  {
    code: 'rights-beyond',
    finds: 'the login may do more than it needs: anything, or more than purging where it does not migrate',
    judge: beyond,
  },
  { code: 'settings-surprising', finds: 'settings that work, and may not be what you want', judge: settings },
  {
    code: 'clocks-differ',
    finds: 'the clocks of host and database differ by more than ten seconds; a fault from a minute on',
    judge: clocks,
  },
  { code: 'clock-set-back', finds: 'a run on record begins later than now', judge: setBack },
  { code: 'lease-abandoned', finds: 'a lease that was neither renewed nor given back', judge: abandoned },
  {
    code: 'server-settings',
    finds: 'a setting of the server with which rows are less safe, or rows vanish',
    judge: fromCondition('settings'),
  },
  {
    code: 'vacuum-old-transaction',
    finds: 'a transaction that has been open for an hour or longer; advice if it is one of another database that has written',
    judge: fromCondition('oldTransactions'),
  },
  {
    code: 'vacuum-prepared-transaction',
    finds: 'a prepared transaction that has waited for an hour or longer',
    judge: fromCondition('preparedTransactions'),
  },
  { code: 'vacuum-replication-slot', finds: 'a replication slot that nobody reads from', judge: fromCondition('replicationSlots') },
  { code: 'database-journal', finds: 'a file without a write-ahead log', judge: fromCondition('journal') },
  { code: 'database-log-large', finds: 'a write-ahead log that does not become short again', judge: fromCondition('log') },
  {
    code: 'database-files',
    finds: 'files of the database that belong to somebody else, or that everybody may write to',
    judge: fromCondition('files'),
  },
  { code: 'database-damaged', finds: 'damaged pages, with `--thorough`', judge: damaged },
]

type Ailing = { [Name in keyof Condition]: Condition[Name] extends readonly Ailment[] ? Name : never }[keyof Condition]

/** What only the engine knows, and words. */
function fromCondition(name: Ailing): Probe['judge'] {
  return ({ condition }) => (condition?.[name] ?? []).map(({ grave, sentence, action }) => (grave ? fault : advice)(sentence, action))
}

function missingRights({ missingGrants, hindersMigrating }: Facts): readonly Told[] {
  const migrating = hindersMigrating.map(({ may, statement }) =>
    fault(
      `migrations are pending, and this login, which is to apply them, ${may}`,
      `migrate as the role that owns the tables (docs/roles.md), or run as it: ${statement}`,
    ),
  )
  const lacked = missingGrants.map((grant) =>
    fault(
      `this login may not do what its jobs need: ${grant.replace(/^GRANT (.*) TO .*$/, '$1')}`,
      `Run as the owner of the tables: ${grant}`,
    ),
  )
  return [...lacked, ...migrating]
}

function beyond({ beyond: rights }: Facts): readonly Told[] {
  return rights.map(({ may, statement }) =>
    advice(
      `this login ${may}, which no job needs`,
      statement === undefined
        ? 'let the worker connect as a role of its own, see docs/roles.md'
        : `see docs/roles.md, or run: ${statement}`,
    ),
  )
}

function settings({ plan, archive }: Facts): readonly Told[] {
  const { jobs, warnings } = plan
  const enabled = jobs.filter((job) => job.enabled)
  const files = archive.summary?.files ?? 0
  const withRetention = jobs.filter(({ job }) => retentionOf(job) !== undefined)
  return [
    ...warnings.map((warning) => advice(warning)),
    ...(enabled.length === 0
      ? [advice('no job is enabled: the worker does nothing', 'enable one, as PURGE_AUDIT_LOGS_ENABLED=true does')]
      : []),
    ...(enabled.length > 0 && withRetention.every((job) => !job.enabled)
      ? [
          advice(
            'no job with a retention is enabled: audit logs are kept for ever',
            'enable it with PURGE_AUDIT_LOGS_ENABLED=true, unless that is meant',
          ),
        ]
      : []),
    ...(!plan.archive.enabled && files > 0
      ? [
          advice(
            'the archive has files, and ARCHIVE_ENABLED is false: rows are deleted now without being archived',
            'set ARCHIVE_ENABLED=true, unless that is meant',
          ),
        ]
      : []),
  ]
}

/** A transaction's answer takes a moment, and clocks that are synchronised differ by milliseconds. */
const WORTH_A_WORD_MS = 10 * SECOND
/** As much as the worker allows for where it compares times of runs. */
const TOO_MUCH_MS = MINUTE

function clocks({ aheadMs }: Facts): readonly Told[] {
  if (aheadMs === undefined || Math.abs(aheadMs) <= WORTH_A_WORD_MS) return []
  const sentence =
    `the database's clock is ${durationText(Math.abs(aheadMs))} ${aheadMs > 0 ? 'ahead of' : 'behind'} this host's: jobs begin by the host's, ` +
    `and rows expire by the database's`
  return [(Math.abs(aheadMs) > TOO_MUCH_MS ? fault : advice)(sentence, 'let both hosts keep their time with NTP')]
}

function setBack({ at, futureRun }: Facts): readonly Told[] {
  if (futureRun === undefined) return []
  return [
    fault(
      `a run on record began at ${minuteText(futureRun)} UTC, which is ${durationText(futureRun - at)} from now: a clock was ahead then, or is behind now`,
      'check the clock; a run by a clock that was ahead may have deleted rows too early',
    ),
  ]
}

function abandoned({ at, abandoned: leases }: Facts): readonly Told[] {
  return leases.map(({ job, holder, renewedAt }) =>
    renewedAt > at
      ? fault(
          `the lease of ${job} was renewed ${durationText(renewedAt - at)} from now, by ${holder}: a clock was ahead then, or is behind now`,
          'see that the clock is right; the next run takes the lease all the same',
        )
      : fault(
          `${holder} had the lease of ${job}, and has neither renewed nor given it back for ${durationText(at - renewedAt)}: it was killed, or lost the database`,
          'see that a worker is running; its next run of the job takes the lease and closes what was left',
        ),
  )
}

function damaged({ damage }: Facts): readonly Told[] {
  if (damage.length === 0) return []
  return [
    fault(
      `the database's file is damaged: ${someClauses(damage)}`,
      'stop the gateway and the worker, keep a copy of the file, and restore it from a backup',
    ),
  ]
}
