internal import ChainrulePlatform

/// Returns a fraction in percent with one decimal, such as "97.5 %"; "–" for NaN.
package func percent(_ fraction: Double) -> String {
  fraction.isNaN ? "–" : "\((fraction * 1000).rounded() / 10) %"
}

/// Returns a number to four significant digits, without zeros at the end.
package func significant(_ value: Double) -> String {
  guard value.isFinite, value != 0 else { return value == 0 ? "0" : "\(value)" }
  let places = 3 - log10(abs(value)).rounded(.down)
  let unit = pow(10, abs(places))  // A power of ten that is exact up to 10²², where 10^-|places| is not.
  guard unit.isFinite else { return "\(value)" }
  let text = "\(places < 0 ? (value / unit).rounded() * unit : (value * unit).rounded() / unit)"
  return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}
