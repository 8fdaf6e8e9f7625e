// Dates in words, and how an image lies to the report.

const years = new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: 1, minimumFractionDigits: 1 })

/** Whether the image is known to be no later than the report: it cannot support a reject. */
export const predates = (image, reportEnds) => Boolean(image.captured_on && reportEnds && image.captured_on <= reportEnds)

/** Words for the time between the image and the report. */
export function relation(image, report, words) {
  if (!image.captured_on || !report.date) return ''
  const days = Math.round((Date.parse(image.captured_on) - Date.parse(report.date)) / 86400000)
  if (days === 0) return words.sameDay
  return `${span(Math.abs(days), words)} ${days < 0 ? words.beforeReport : words.afterReport}`
}

function span(days, words) {
  if (days < 60) return words.days.replace('%s', days)
  if (days < 730) return words.months.replace('%s', Math.round(days / 30.4))
  return words.years.replace('%s', years.format(days / 365.25))
}

export class Dating {
  constructor(words, locale) {
    Object.assign(this, { words, locale })
  }

  /** The capture date, or that it is unknown. */
  ofImage(image) {
    if (!image.captured_on) return this.words.dateUnknown
    return this.day(image.captured_on, { day: 'numeric', month: 'short', year: 'numeric' })
  }

  ofReport({ date, precision }) {
    if (!date) return this.words.reportUndated
    const options = { year: 'numeric' }
    if (precision !== 'year') options.month = 'short'
    if (precision === 'day') options.day = 'numeric'
    const note = this.words.precision[precision]
    return `${this.words.reported} ${this.day(date, options)}${note ? ` (${note})` : ''}`
  }

  day(iso, options) {
    return new Date(`${iso}T00:00:00Z`).toLocaleDateString(this.locale, { ...options, timeZone: 'UTC' })
  }
}
