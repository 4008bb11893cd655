import { countText, sizeText } from '../number-text.ts'
import { DAY } from '../time/clock.ts'
import { durationText } from '../time/time-text.ts'
import type { DiskFacts, Facts } from './doctor-facts.ts'
import { advice, fault, type Probe, type Told } from './probe.ts'

/** The archive's folder, and the disks. */
export const PLACE_PROBES: readonly Probe[] = [
  { code: 'archive-unreachable', finds: 'the archive’s folder cannot be looked at, or is none', judge: unreachable },
  { code: 'archive-unwritable', finds: 'the archive’s folder cannot be written to, or made', judge: unwritable },
  { code: 'archive-access', finds: 'the archive’s folder belongs to somebody else, or everybody may write to it', judge: access },
  { code: 'archive-unverified', finds: 'the archive has never been verified, or not for 35 days', judge: unverified },
  {
    code: 'disk-full',
    finds: 'less than 256 MB are free where the archive or the database lies, or no more files can be made; advice from 5 % on',
    judge: ({ disks }) => disks.flatMap(full),
  },
]

function unreachable({ plan, archive: { folder } }: Facts): readonly Told[] {
  if (!plan.archive.enabled || folder === undefined) return []
  if (folder.problem !== undefined)
    return [
      fault(
        `the archive's folder ${folder.path} cannot be looked at (${folder.problem}): runs fail before they delete anything`,
        'see that it is mounted, and that this user may enter it',
      ),
    ]
  if (folder.kind === undefined || folder.kind === 'folder') return []
  return [fault(`ARCHIVE_DIRECTORY names a ${folder.kind}, not a folder: ${folder.path}`, 'name the folder of the archive')]
}

function unwritable({ plan, archive: { folder } }: Facts): readonly Told[] {
  if (!plan.archive.enabled || folder === undefined || folder.writable || folder.problem !== undefined) return []
  if (folder.kind === undefined)
    return [
      fault(
        `the archive's folder ${folder.path} does not exist, and this user may not make it in ${folder.within}: runs fail before they delete anything`,
        'make the folder, and give it to this user',
      ),
    ]
  return folder.kind === 'folder'
    ? [
        fault(
          `this user may not write to the archive's folder ${folder.path}: runs fail before they delete anything`,
          'give it to this user, and mount it for writing',
        ),
      ]
    : []
}

/** Root may use what is anybody's, and a mount point may be root's. */
function access({ plan, archive: { folder } }: Facts): readonly Told[] {
  if (!plan.archive.enabled || folder === undefined) return []
  const { uid } = plan.archive
  const strange = folder.uid !== undefined && uid !== undefined && uid !== 0 && folder.uid !== uid && folder.uid !== 0
  return [
    ...(strange
      ? [
          advice(
            `the archive's folder ${folder.path} belongs to uid ${folder.uid}, and this runs as uid ${uid}: that user may remove or replace its files`,
            `give it to uid ${uid}`,
          ),
        ]
      : []),
    ...(folder.warning === undefined ? [] : [advice(folder.warning)]),
  ]
}

/** A month, and some days for a timer that is late. */
const VERIFIED_WITHIN_MS = 35 * DAY

function unverified({ plan, at, archive: { summary } }: Facts): readonly Told[] {
  if (!plan.archive.enabled || summary === undefined || summary.files === 0) return []
  const last = summary.verification?.at
  if (last !== undefined && at - last <= VERIFIED_WITHIN_MS) return []
  const since = last === undefined ? 'has never been verified' : `was last verified ${durationText(at - last)} ago`
  return [advice(`the archive ${since}: damage to its files would not be known`, 'run archive verify, and let a timer do so each week')]
}

const LEAST_FREE_BYTES = 256 * 2 ** 20
const LEAST_FREE_SHARE = 0.05
/** A run of the archive makes two files for each part. */
const LEAST_FREE_NAMES = 100

/** By what an unprivileged user may still take. */
export function full({ holds, folder, freeBytes, totalBytes, freeNames }: DiskFacts): readonly Told[] {
  const disk = `the file system of ${holds.join(' and ')} (${folder})`
  const action = 'free space there, or make it larger'
  if (freeNames !== undefined && freeNames < LEAST_FREE_NAMES)
    return [fault(`${disk} has room for ${countText(freeNames)} more files`, action)]
  if (freeBytes < LEAST_FREE_BYTES) return [fault(`${disk} has ${sizeText(freeBytes)} left of ${sizeText(totalBytes)}`, action)]
  if (freeBytes < totalBytes * LEAST_FREE_SHARE)
    return [advice(`${disk} has ${sizeText(freeBytes)} left of ${sizeText(totalBytes)}`, action)]
  return []
}
