import { MaintenanceError } from '../errors.ts'

export const SHARED = 'If two databases share this folder, give each its own ARCHIVE_DIRECTORY'

/**
 * The folder is not the one that the database knows, or its files were changed. A person has to look; until then nothing is deleted, if `consequence` says
 * nothing else.
 */
export function damaged(problem: string, cause?: unknown, consequence = 'Nothing was deleted'): MaintenanceError {
  return new MaintenanceError(
    'ARCHIVE_DAMAGED',
    `the archive: ${problem}. ${consequence}. Check that ARCHIVE_DIRECTORY is the folder, on the volume, that earlier runs wrote to, and ` +
      'restore missing files from a backup. `archive verify` names every file that is wrong',
    { cause },
  )
}

const NOT_DELETED = 'Rows that are not in the archive were not deleted.'
const ADVICE = 'Check that ARCHIVE_DIRECTORY exists, is writable by this user and has free space'

/** An operation on the archive's files failed. `advice`: absent, for a folder. */
export function archiveFailed(problem: string, cause?: unknown, advice = ADVICE): MaintenanceError {
  return new MaintenanceError('ARCHIVE_FAILED', `the archive: ${problem}. ${NOT_DELETED} ${advice}`, { cause })
}
