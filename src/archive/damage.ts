import { MaintenanceError } from '../errors.ts'

export const SHARED = 'Where two databases share this folder, give each an ARCHIVE_DIRECTORY of its own'

/** The folder is not the one that the database knows, or something was done to it. A person has to look; nothing is deleted meanwhile. */
export function damaged(problem: string, cause?: unknown): MaintenanceError {
  return new MaintenanceError(
    'ARCHIVE_DAMAGED',
    `the archive: ${problem}. Nothing was deleted. See that ARCHIVE_DIRECTORY is the folder, and the volume, that the runs before wrote to, and ` +
      'restore what is missing from its backup; `archive verify` names each file that is wrong',
    { cause },
  )
}

const ADVICE = 'Rows that are not in the archive were not deleted. See that ARCHIVE_DIRECTORY is there, writable by this user, and has room'

/** Something could not be done to its files. */
export function archiveFailed(problem: string, cause?: unknown): MaintenanceError {
  return new MaintenanceError('ARCHIVE_FAILED', `the archive: ${problem}. ${ADVICE}`, { cause })
}
