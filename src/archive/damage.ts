import { MaintenanceError } from '../errors.ts'

export const SHARED = 'If two databases share this folder, give each its own ARCHIVE_DIRECTORY'

/** An error of the archive, whose problem others can tell in a sentence of their own. */
export class ArchiveError extends MaintenanceError {
  /** Without a full stop. */
  readonly problem: string
  /** What to do, where something else than usual; without a full stop. */
  readonly advice: string | undefined

  constructor(
    code: 'ARCHIVE_DAMAGED' | 'ARCHIVE_FAILED',
    {
      problem,
      consequence,
      advice,
      cause,
    }: { readonly problem: string; readonly consequence: string; readonly advice?: string | undefined; readonly cause: unknown },
  ) {
    super(code, `the archive: ${problem}. ${consequence}`, { cause })
    this.problem = problem
    this.advice = advice
  }
}

/**
 * The folder is not the one that the database knows, or its files were changed. A person has to look; until then nothing is deleted, if `consequence` says
 * nothing else.
 */
export function damaged(problem: string, cause?: unknown, consequence = 'Nothing was deleted'): MaintenanceError {
  const after =
    `${consequence}. Check that ARCHIVE_DIRECTORY is the place, on the volume or in the bucket, that earlier runs wrote to, and ` +
    'restore missing files from a backup. `archive verify` names every file that is wrong'
  return new ArchiveError('ARCHIVE_DAMAGED', { problem, consequence: after, cause })
}

const NOT_DELETED = 'Rows that are not in the archive were not deleted.'
const ADVICE = 'Check that ARCHIVE_DIRECTORY exists, is writable by this user and has free space'

/** An operation on the archive's files failed. `advice`: absent, for a folder. */
export function archiveFailed(problem: string, cause?: unknown, advice?: string): MaintenanceError {
  return new ArchiveError('ARCHIVE_FAILED', { problem, consequence: `${NOT_DELETED} ${advice ?? ADVICE}`, advice, cause })
}
