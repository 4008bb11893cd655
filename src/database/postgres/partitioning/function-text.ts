import { builtIn, EQ, GT, nameIn, NE } from '../exact.ts'
import { literal, qualified } from '../identifiers.ts'

/**
 * What makes partitions and takes them away, in the server's own language, because it runs in two ways: as a block that the table's owner sends, and as a
 * function that runs with the owner's rights for a role that has few. So it believes nothing that it is told: each step looks up in the catalogue what it is
 * about to change, under the lock if there is one, and refuses whatever is not certainly a part of this table or was not made for it.
 */
export interface Place {
  readonly schema: string
  readonly table: string
  readonly column: string
}

/** Keeps rows of one day out of DEFAULT for the moments in which the partition of that day is attached: see `making.ts`. */
export const GUARD = 'maintenance_partition_guard'

/** Begins the comment of a table that was taken out; its bounds follow, as `pg_get_expr` writes them in UTC. Only the table's owner can write it. */
export function markOf({ schema, table }: Pick<Place, 'schema' | 'table'>): string {
  return `mcp-gateway-maintenance took this out of ${qualified(schema, table)}: `
}

const ONE_DAY = `'1 day'::pg_catalog.interval`
/** A day from now on the clocks of every zone, since a reading without a zone is compared as UTC. */
const WELL_AHEAD = `'38 hours'::pg_catalog.interval`
/** See `partitionName` in `days.ts`. */
const NAME_END = `'^[0-9]{8}(_[0-9]{6}([0-9]{6})?)?$'::pg_catalog.text`
const AND_ZONE = `'^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?([+]00)?$'::pg_catalog.text`
/** The bounds of a range that has an end, as `pg_get_expr` writes them under the settings of `PROLOGUE`. */
const RANGE = `'^FOR VALUES FROM [(](MINVALUE|''[0-9+.: -]+( BC)?'')[)] TO [(]''[0-9+.: -]+''[)]$'::pg_catalog.text`
const UPPER = `'TO [(]''([0-9+.: -]+)''[)]$'::pg_catalog.text`
const TEXT = 'pg_catalog.text'

/** `wanted` (what to do) and `relation` (with what) are declared before, and so are the bounds. */
export function addingBlock(declared: string, place: Place): string {
  const prefix = `${place.table}_p`
  return `DECLARE
${declared}  parent pg_catalog.record; found_one pg_catalog.record; acl pg_catalog.record; made pg_catalog.oid; moment pg_catalog.timestamptz; ending pg_catalog.timestamptz; has_rows pg_catalog.bool; bounds ${TEXT};
BEGIN
${prologue(place)}
  IF wanted ${EQ} 'make' THEN
    IF (pg_catalog.starts_with(relation, ${text(prefix)}) AND pg_catalog.substr(relation, (pg_catalog.length(${text(prefix)}) ${builtIn('+')} '1'::pg_catalog.int4)) ${builtIn('~')} ${NAME_END}) IS NOT TRUE THEN
      ${refusal(`'%s is no name of a partition of %s'`, 'relation', text(place.table))}
    END IF;
    ${boundsMustBeADay()}
${clearTheName(place)}
    EXECUTE pg_catalog.format('CREATE TABLE %I.%I (LIKE %I.%I INCLUDING ALL EXCLUDING IDENTITY)'::${TEXT}, ${of(place)}, relation, ${of(place)}, ${text(place.table)});
    SELECT c.oid INTO STRICT made FROM pg_catalog.pg_class AS c WHERE c.relnamespace ${EQ} parent.namespace AND c.relname ${EQ} relation::pg_catalog.name;
${asItsTable(place)}
    EXECUTE pg_catalog.format('ALTER TABLE %I.%I ATTACH PARTITION %I.%I FOR VALUES FROM (%L) TO (%L)'::${TEXT},
      ${of(place)}, ${text(place.table)}, ${of(place)}, relation, lower_bound, upper_bound);
  ELSIF wanted ${EQ} 'attach' THEN
${markedOnly(place)}
    EXECUTE pg_catalog.format('ALTER TABLE %I.%I ATTACH PARTITION %I.%I %s'::${TEXT}, ${of(place)}, ${text(place.table)}, ${of(place)}, relation, bounds);
    EXECUTE pg_catalog.format('COMMENT ON TABLE %I.%I IS NULL'::${TEXT}, ${of(place)}, relation);
  ELSIF wanted ${EQ} 'guard' OR wanted ${EQ} 'prove' OR wanted ${EQ} 'unguard' THEN
    SELECT c.relname AS name, n.nspname AS schema INTO found_one FROM pg_catalog.pg_partitioned_table AS p
    JOIN pg_catalog.pg_class AS c ON c.oid ${EQ} p.partdefid JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace
    WHERE p.partrelid ${EQ} parent.oid AND c.relkind ${EQ} 'r'::pg_catalog."char" AND c.relowner ${EQ} parent.relowner;
    IF NOT FOUND THEN
      ${refusal(`'%s has no DEFAULT partition of its owner''s'`, text(place.table))}
    END IF;
    IF wanted ${EQ} 'prove' THEN
      EXECUTE pg_catalog.format('ALTER TABLE %I.%I VALIDATE CONSTRAINT %I'::${TEXT}, found_one.schema, found_one.name, ${text(GUARD)});
      RETURN;
    END IF;
    EXECUTE pg_catalog.format('ALTER TABLE %I.%I DROP CONSTRAINT IF EXISTS %I'::${TEXT}, found_one.schema, found_one.name, ${text(GUARD)});
    IF wanted ${EQ} 'guard' THEN
      ${boundsMustBeADay()}
      IF NOT (moment ${builtIn('>=')} (pg_catalog.clock_timestamp() ${builtIn('+')} ${WELL_AHEAD})) THEN
        ${refusal(`'rows of %s may be written already'`, 'lower_bound')}
      END IF;
      EXECUTE pg_catalog.format('ALTER TABLE %1$I.%2$I ADD CONSTRAINT %3$I CHECK (%4$I IS NULL OR %4$I OPERATOR(pg_catalog.<) %5$L OR %4$I OPERATOR(pg_catalog.>=) %6$L) NOT VALID'::${TEXT},
        found_one.schema, found_one.name, ${text(GUARD)}, ${text(place.column)}, lower_bound, upper_bound);
    END IF;
  ELSE
    ${refusal(`'%s is no step'`, 'wanted')}
  END IF;
END`
}

export function removingBlock(declared: string, place: Place): string {
  return `DECLARE
${declared}  parent pg_catalog.record; found_one pg_catalog.record; moment pg_catalog.timestamptz; bounds ${TEXT};
BEGIN
${prologue(place)}
  IF wanted ${EQ} 'detach' THEN
    EXECUTE pg_catalog.format('LOCK TABLE ONLY %I.%I IN ACCESS EXCLUSIVE MODE'::${TEXT}, ${of(place)}, ${text(place.table)});
    SELECT pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bounds INTO found_one FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS c ON c.oid ${EQ} i.inhrelid
    WHERE i.inhparent ${EQ} parent.oid AND c.relnamespace ${EQ} parent.namespace AND c.relname ${EQ} relation::pg_catalog.name
      AND c.relkind ${EQ} 'r'::pg_catalog."char" AND c.relowner ${EQ} parent.relowner;
    IF NOT FOUND THEN
      ${refusal(`'%s is no partition of %s of the same owner and schema'`, 'relation', text(place.table))}
    END IF;
    bounds := found_one.bounds;
    ${mustBeOver()}
    EXECUTE pg_catalog.format('ALTER TABLE %I.%I DETACH PARTITION %I.%I'::${TEXT}, ${of(place)}, ${text(place.table)}, ${of(place)}, relation);
    EXECUTE pg_catalog.format('COMMENT ON TABLE %I.%I IS %L'::${TEXT}, ${of(place)}, relation, pg_catalog.concat(${text(markOf(place))}, bounds));
  ELSIF wanted ${EQ} 'drop' THEN
    EXECUTE pg_catalog.format('LOCK TABLE ONLY %I.%I IN ACCESS EXCLUSIVE MODE'::${TEXT}, ${of(place)}, relation);
${markedOnly(place)}
    ${mustBeOver()}
    EXECUTE pg_catalog.format('DROP TABLE %I.%I'::${TEXT}, ${of(place)}, relation);
  ELSE
    ${refusal(`'%s is no step'`, 'wanted')}
  END IF;
END`
}

function of({ schema }: Place): string {
  return text(schema)
}

function text(value: string): string {
  return `${literal(value)}::${TEXT}`
}

/** object_not_in_prerequisite_state: never one of the states that mean "look again". */
function refusal(format: string, ...values: readonly string[]): string {
  return `RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = pg_catalog.format(${format}::${TEXT}, ${values.join(', ')});`
}

function prologue({ schema, table }: Place): string {
  return `  PERFORM pg_catalog.set_config('datestyle'::${TEXT}, 'ISO, YMD'::${TEXT}, true), pg_catalog.set_config('timezone'::${TEXT}, 'UTC'::${TEXT}, true);
  SELECT c.oid, c.relowner, o.rolname AS heir, c.relacl, c.relreplident, c.relrowsecurity, c.relforcerowsecurity, c.relnamespace AS namespace INTO parent
  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid ${EQ} c.relnamespace JOIN pg_catalog.pg_roles AS o ON o.oid ${EQ} c.relowner
  WHERE n.nspname ${EQ} ${literal(schema)}::pg_catalog.name AND c.relname ${EQ} ${literal(table)}::pg_catalog.name AND c.relkind ${EQ} 'p'::pg_catalog."char";
  IF NOT FOUND THEN
    ${refusal(`'%s is not partitioned'`, text(table))}
  END IF;`
}

/** No caller can make a partition that is never over, or keep more than a day out of DEFAULT. */
function boundsMustBeADay(): string {
  return `IF (lower_bound ${builtIn('~')} ${AND_ZONE} AND upper_bound ${builtIn('~')} ${AND_ZONE}) IS NOT TRUE THEN
      ${refusal(`'%s is no range of times'`, `pg_catalog.concat(lower_bound, ' to '::${TEXT}, upper_bound)`)}
    END IF;
    EXECUTE pg_catalog.format('SELECT %L::pg_catalog.timestamptz, %L::pg_catalog.timestamptz'::${TEXT}, lower_bound, upper_bound) INTO STRICT moment, ending;
    IF NOT (ending ${builtIn('<=')} (moment ${builtIn('+')} ${ONE_DAY})) THEN
      ${refusal(`'%s is more than a day'`, `pg_catalog.concat(lower_bound, ' to '::${TEXT}, upper_bound)`)}
    END IF;`
}

/** Leaves `bounds` to the step. A partition that is over has ended for a day in every zone, since a reading without a zone is compared as UTC. */
function mustBeOver(): string {
  return `IF (bounds ${builtIn('~')} ${RANGE}) IS NOT TRUE THEN
      ${refusal(`'%s has no end, so it cannot be over'`, 'relation')}
    END IF;
    EXECUTE pg_catalog.format('SELECT %L::pg_catalog.timestamptz'::${TEXT}, pg_catalog.substring(bounds, ${UPPER})) INTO STRICT moment;
    IF NOT (moment ${builtIn('<=')} (pg_catalog.clock_timestamp() ${builtIn('-')} ${ONE_DAY})) THEN
      ${refusal(`'%s ends at %s, so rows may still be written to it'`, 'relation', 'moment')}
    END IF;`
}

/** A table that was taken out: plain, no part of any other, of the same owner, and with our mark, whose bounds are taken. */
function markedOnly(place: Place): string {
  const mark = markOf(place)
  return `    SELECT pg_catalog.obj_description(c.oid, 'pg_class'::pg_catalog.name) AS comment INTO found_one FROM pg_catalog.pg_class AS c
    WHERE c.relnamespace ${EQ} parent.namespace AND c.relname ${EQ} relation::pg_catalog.name AND c.relkind ${EQ} 'r'::pg_catalog."char"
      AND c.relowner ${EQ} parent.relowner AND NOT c.relispartition
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid ${EQ} c.oid OR i.inhparent ${EQ} c.oid);
    IF NOT FOUND OR pg_catalog.starts_with(found_one.comment, ${text(mark)}) IS NOT TRUE THEN
      ${refusal(`'%s was not taken out of %s'`, 'relation', text(place.table))}
    END IF;
    bounds := pg_catalog.substr(found_one.comment, (pg_catalog.length(${text(mark)}) ${builtIn('+')} '1'::pg_catalog.int4));
    IF (bounds ${builtIn('~')} ${RANGE}) IS NOT TRUE THEN
      ${refusal(`'%s has no bounds in its comment'`, 'relation')}
    END IF;`
}

/** A table that bears the name already goes, if it is empty and can only have been meant for this. */
function clearTheName(place: Place): string {
  return `    SELECT c.oid, c.relkind, c.relowner INTO found_one FROM pg_catalog.pg_class AS c WHERE c.relnamespace ${EQ} parent.namespace AND c.relname ${EQ} relation::pg_catalog.name;
    IF FOUND THEN
      IF EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid ${EQ} found_one.oid AND i.inhparent ${EQ} parent.oid) THEN
        RAISE EXCEPTION USING ERRCODE = '42P07', MESSAGE = pg_catalog.format('%s is there'::${TEXT}, relation);
      END IF;
      IF found_one.relkind ${NE} 'r'::pg_catalog."char" OR found_one.relowner ${NE} parent.relowner
        OR EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid ${EQ} found_one.oid OR i.inhparent ${EQ} found_one.oid) THEN
        ${refusal(`'%s is there, and is no partition of %s'`, 'relation', text(place.table))}
      END IF;
      EXECUTE pg_catalog.format('LOCK TABLE ONLY %I.%I IN ACCESS EXCLUSIVE MODE'::${TEXT}, ${of(place)}, relation);
      EXECUTE pg_catalog.format('SELECT EXISTS (SELECT FROM ONLY %I.%I)'::${TEXT}, ${of(place)}, relation) INTO STRICT has_rows;
      IF has_rows THEN
        ${refusal(`'%s is there, has rows, and is no partition of %s'`, 'relation', text(place.table))}
      END IF;
      EXECUTE pg_catalog.format('DROP TABLE %I.%I'::${TEXT}, ${of(place)}, relation);
    END IF;`
}

/** Nobody may read more in a partition than in its table, and who dumps the table must be able to read the partition. */
function asItsTable(place: Place): string {
  const grantee = `CASE WHEN acl.grantee ${EQ} '0'::pg_catalog.oid THEN 'PUBLIC'::${TEXT} ELSE pg_catalog.quote_ident(acl.role::${TEXT}) END`
  const option = `CASE WHEN acl.is_grantable THEN ' WITH GRANT OPTION'::${TEXT} ELSE ''::${TEXT} END`
  const known = `(r.oid IS NOT NULL OR x.grantee ${EQ} '0'::pg_catalog.oid)`
  return `    IF parent.heir ${NE} current_user THEN
      EXECUTE pg_catalog.format('ALTER TABLE %I.%I OWNER TO %I'::${TEXT}, ${of(place)}, relation, parent.heir);
    END IF;
    FOR acl IN SELECT DISTINCT x.grantee, r.rolname AS role FROM pg_catalog.pg_class AS c CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS x
      LEFT JOIN pg_catalog.pg_roles AS r ON r.oid ${EQ} x.grantee WHERE c.oid ${EQ} made AND x.grantee ${NE} parent.relowner AND ${known} LOOP
      EXECUTE pg_catalog.format('REVOKE ALL ON TABLE %I.%I FROM %s CASCADE'::${TEXT}, ${of(place)}, relation, ${grantee});
    END LOOP;
    FOR acl IN SELECT x.grantee, r.rolname AS role, x.privilege_type, x.is_grantable FROM pg_catalog.aclexplode(parent.relacl) AS x
      LEFT JOIN pg_catalog.pg_roles AS r ON r.oid ${EQ} x.grantee WHERE x.grantee ${NE} parent.relowner AND ${known} LOOP
      EXECUTE pg_catalog.format('GRANT %s ON TABLE %I.%I TO %s%s'::${TEXT}, acl.privilege_type, ${of(place)}, relation, ${grantee}, ${option});
    END LOOP;
    FOR acl IN SELECT a.attname AS name, x.grantee, r.rolname AS role, x.privilege_type, x.is_grantable
      FROM pg_catalog.pg_attribute AS a CROSS JOIN LATERAL pg_catalog.aclexplode(a.attacl) AS x LEFT JOIN pg_catalog.pg_roles AS r ON r.oid ${EQ} x.grantee
      WHERE a.attrelid ${EQ} parent.oid AND a.attnum ${GT} '0'::pg_catalog.int2 AND NOT a.attisdropped AND ${known} LOOP
      EXECUTE pg_catalog.format('GRANT %s (%I) ON TABLE %I.%I TO %s%s'::${TEXT}, acl.privilege_type, acl.name, ${of(place)}, relation, ${grantee}, ${option});
    END LOOP;
    IF ${nameIn('parent.relreplident', ['f', 'n'], '"char"')} THEN
      EXECUTE pg_catalog.format('ALTER TABLE %I.%I REPLICA IDENTITY %s'::${TEXT}, ${of(place)}, relation,
        CASE WHEN parent.relreplident ${EQ} 'f'::pg_catalog."char" THEN 'FULL'::${TEXT} ELSE 'NOTHING'::${TEXT} END);
    END IF;
    IF parent.relrowsecurity THEN
      EXECUTE pg_catalog.format('ALTER TABLE %I.%I ENABLE ROW LEVEL SECURITY'::${TEXT}, ${of(place)}, relation);
    END IF;
    IF parent.relforcerowsecurity THEN
      EXECUTE pg_catalog.format('ALTER TABLE %I.%I FORCE ROW LEVEL SECURITY'::${TEXT}, ${of(place)}, relation);
    END IF;`
}
