/** Made by migration 005: the state of an archive, and what each run added to it. */
export const ARCHIVES = 'maintenance_archives'
export const ARCHIVED = 'maintenance_archived'
/** Made by migration 006: how long the files of an archive are kept, and what each run removed. */
export const RETENTIONS = 'maintenance_archive_retention'
export const REMOVED = 'maintenance_archive_removed'

/** Made by migration 007, with the holds: how many rows of files they keep. */
export const HELD_FILES = 'maintenance_held_files'

/** Made by migration 011: files that are not part of the archive, and may appear in its bucket, or stay there, all the same. */
export const DISCARDED = 'maintenance_discarded'

/** Made by migration 012: where an archive was moved to. */
export const PLACES = 'maintenance_archive_places'

/** Those with a row for each run, named by the run's number. */
export const COUNTED_RUNS = [ARCHIVED, REMOVED] as const
