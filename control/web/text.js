// Numbers, sizes and times as people read them.

const PREFIXES = ["", "k", "M", "G", "T", "P"];

/** 12,345 as "12.3 k"; numbers below 1,000 keep up to one digit behind the point. */
export function short(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) {
    return "–";
  }
  let at = 0;
  let rest = Math.abs(value);
  // 999.95 would be written as 1000.
  while (rest >= 999.95 && at < PREFIXES.length - 1) {
    rest /= 1000;
    at += 1;
  }
  const digits = rest >= 100 || Number.isInteger(rest) ? 0 : rest >= 0.1 || rest === 0 ? 1 : 2;
  return `${value < 0 ? "−" : ""}${rest.toFixed(digits)}${at ? ` ${PREFIXES[at]}` : ""}`;
}

/** A number with its unit: "12.3 kbit/s", "1.2 k/s"; words stand apart: "2.1 k packets/s". */
export function withUnit(value, unit) {
  const text = short(value);
  const isAttached = /[a-zA-Z]$/.test(text) && (unit.startsWith("/") || unit.startsWith("bit"));
  return isAttached ? text + unit : `${text} ${unit}`;
}

/** "1 probe", "2 probes". */
export function count(number, one, many = `${one}s`) {
  return `${whole(number)} ${number === 1 ? one : many}`;
}

/** Bytes in units of 1024. */
export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  let rest = value;
  while (rest >= 1023.5 && at < units.length - 1) {
    rest /= 1024;
    at += 1;
  }
  return `${rest.toFixed(at === 0 || rest >= 100 ? 0 : 1)} ${units[at]}`;
}

/** All digits, in groups. */
export function whole(value) {
  return value.toLocaleString("en-US");
}

/** The time of day of seconds since 1970; with its day where more than a day is shown. */
export function clock(seconds, span = 0) {
  const two = (number) => String(number).padStart(2, "0");
  const at = new Date(seconds * 1000);
  const time = `${two(at.getHours())}:${two(at.getMinutes())}`;
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  if (span > 2 * 86400) {
    return span > 400 * 86400 ? day.slice(0, 7) : day;
  }
  return span > 86400 ? `${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}` : span > 0 && span <= 600 ? `${time}:${two(at.getSeconds())}` : time;
}

/** Day and time of seconds since 1970. */
export function moment(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const at = new Date(seconds * 1000);
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${day} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** The name of an IP protocol's number, of those that are common. */
export function protocol(number) {
  return { 1: "ICMP", 2: "IGMP", 4: "IPIP", 6: "TCP", 17: "UDP", 41: "IPv6", 47: "GRE", 50: "ESP", 51: "AH", 58: "ICMPv6", 89: "OSPF", 132: "SCTP" }[number] ?? `IP ${number}`;
}
