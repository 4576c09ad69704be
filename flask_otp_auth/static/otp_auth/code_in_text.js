// @ts-check
/** Finds the code in what was typed or pasted. */

const DIGIT = /\p{Nd}/u;
const GAP = /([0-9])[\s\p{Z}\p{Pd}\x1c-\x1f\x85]+(?=[0-9])/gu;

/**
 * Return the one group of digits that is as long as a code.
 *
 * Digits of any script count, and invisible characters do not. Groups that are equal are one: an
 * SMS may hold its code twice, for the reader and for the browser. Digits with white space or
 * dashes between them are a group where no group without any is long enough.
 *
 * @param {string} text
 * @param {number} length the number of digits of a code
 * @returns {string | null} ASCII digits, or null if there is no such group, or more than one
 */
export function codeIn(text, length) {
  const plain = asciiDigits(text.replace(/\p{Cf}/gu, ""));
  for (const each of [plain, plain.replace(GAP, "$1")]) {
    const groups = new Set(each.match(/[0-9]+/g)?.filter((group) => group.length === length));
    if (groups.size > 0) {
      return groups.size === 1 ? [...groups][0] : null;
    }
  }
  return null;
}

/**
 * Return the text with the decimal digits of every script as ASCII digits.
 *
 * @param {string} text
 */
function asciiDigits(text) {
  return text.replace(/\p{Nd}/gu, (digit) => {
    // Unicode keeps the ten digits of a script together, from zero to nine.
    let value = 0;
    let point = Number(digit.codePointAt(0));
    while (DIGIT.test(String.fromCodePoint(--point))) {
      value += 1;
    }
    return String(value % 10);
  });
}
