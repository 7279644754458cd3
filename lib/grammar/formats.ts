/** JSON Schema's formats as patterns that write valid ones alone, if not all of them. @module */

const DAY_28 = "(0[1-9]|1[0-9]|2[0-8])";
const DATE =
  `[0-9]{4}-((0[1-9]|1[0-2])-${DAY_28}|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)`;
const TIME =
  "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])";
const BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const LABEL = "[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?";
const HOSTNAME = `${LABEL}(\\.${LABEL}){0,4}`;
const ATOM = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]{1,32}";

/** By name. */
export const FORMATS: Readonly<Record<string, string>> = {
  "date": DATE,
  "time": TIME,
  "date-time": `${DATE}T${TIME}`,
  "email": `${ATOM}(\\.${ATOM}){0,3}@${LABEL}(\\.${LABEL}){1,4}`,
  "hostname": HOSTNAME,
  "ipv4": `${BYTE}(\\.${BYTE}){3}`,
  "uuid":
    "[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
};
