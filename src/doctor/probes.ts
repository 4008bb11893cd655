import { ATTACHED_PROBES } from './attached-probes.ts'
import { INDEX_PROBES } from './index-probes.ts'
import { PLACE_PROBES } from './place-probes.ts'
import type { Probe } from './probe.ts'
import { SCHEMA_PROBES } from './schema-probes.ts'
import { STANDING_PROBES } from './standing-probes.ts'

/** In the order in which their findings are shown, behind those of the status. Each has a code of its own. */
export const PROBES: readonly Probe[] = [...SCHEMA_PROBES, ...INDEX_PROBES, ...ATTACHED_PROBES, ...STANDING_PROBES, ...PLACE_PROBES]
