/// Dates and times in ISO 8601 format: 2024-03-01, 2024-03-01T12:30, 2024-03-01 12:30:15.25+02:00.
enum ISODate {
  /// Returns the number of days since 1970-01-01T00:00Z; `nil` for any other text. A time without a zone is
  /// UTC.
  static func days(in text: some Collection<UInt8>) -> Double? {
    guard 10...35 ~= text.count else { return nil }
    var reader = Reader(rest: Array(text)[...])
    guard let year = reader.digits(4), reader.take("-"), let month = reader.digits(2), 1...12 ~= month,
      reader.take("-"), let day = reader.digits(2), 1...Self.days(inMonth: month, of: year) ~= day
    else { return nil }
    let days = Double(Self.days(year: year, month: month, day: day))
    if reader.rest.isEmpty { return days }
    guard reader.take("T") || reader.take(" "), let hour = reader.digits(2), hour < 24, reader.take(":"),
      let minute = reader.digits(2), minute < 60
    else { return nil }
    var seconds = Double(hour * 3600 + minute * 60)
    if reader.take(":") {
      guard let second = reader.digits(2), second <= 60 else { return nil }
      seconds += Double(second)
      if reader.take(".") {
        guard let fraction = reader.fraction() else { return nil }
        seconds += fraction
      }
    }
    if reader.rest.isEmpty || reader.take("Z") { return reader.rest.isEmpty ? days + seconds / 86_400 : nil }
    let sign = reader.take("+") ? 1.0 : reader.take("-") ? -1.0 : 0
    guard sign != 0, let hours = reader.digits(2), hours < 24 else { return nil }
    _ = reader.take(":")
    let minutes = reader.rest.isEmpty ? 0 : reader.digits(2)
    guard let minutes, minutes < 60, reader.rest.isEmpty else { return nil }
    return days + (seconds - sign * Double(hours * 3600 + minutes * 60)) / 86_400
  }

  private struct Reader {
    var rest: ArraySlice<UInt8>

    mutating func take(_ character: UnicodeScalar) -> Bool {
      guard rest.first == UInt8(ascii: character) else { return false }
      rest.removeFirst()
      return true
    }

    mutating func digits(_ count: Int) -> Int? {
      guard rest.count >= count else { return nil }
      var number = 0
      for byte in rest.prefix(count) {
        guard UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte else { return nil }
        number = number * 10 + Int(byte - UInt8(ascii: "0"))
      }
      rest.removeFirst(count)
      return number
    }

    mutating func fraction() -> Double? {
      var (value, unit, count) = (0.0, 0.1, 0)
      while let digit = digits(1) {
        (value, unit, count) = (value + Double(digit) * unit, unit / 10, count + 1)
      }
      return count > 0 ? value : nil
    }
  }

  private static func days(inMonth month: Int, of year: Int) -> Int {
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    return [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
  }

  /// Days in the proleptic Gregorian calendar: years begin in March, so that the leap day is the last.
  private static func days(year: Int, month: Int, day: Int) -> Int {
    let shifted = month <= 2 ? year - 1 : year
    let era = (shifted >= 0 ? shifted : shifted - 399) / 400
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }
}

/// Whether a text is a date in a format other than ISO 8601: three numbers separated by /, . or -, one of
/// which may be a year, or the name of a month, such as 03/01/2024, 1.3.24 or 1-Mar-2024; a time may follow.
func isForeignDate(_ text: [UInt8]) -> Bool {
  guard ISODate.days(in: text) == nil, 6...40 ~= text.count else { return false }
  // The time begins with a space, or with a T after a digit: 12-OCT-2024 has no time.
  let time = text.indices.first { place in
    text[place] == UInt8(ascii: " ")
      || text[place] == UInt8(ascii: "T") && place > 0 && "0123456789".utf8.contains(text[place - 1])
  }
  let day = text.prefix(upTo: time ?? text.endIndex)
  guard let separator = day.first(where: { "/.-".utf8.contains($0) }) else { return false }
  let parts = day.split(separator: separator, omittingEmptySubsequences: false).map {
    String(decoding: $0, as: UTF8.self)
  }
  guard parts.count == 3 else { return false }
  let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
  let isMonth = parts.map { months.contains($0.prefix(3).lowercased()) }
  let numbers = parts.map { $0.count <= 4 ? UInt($0) : nil }
  guard zip(numbers, isMonth).allSatisfy({ $0 != nil || $1 }), isMonth.filter(\.self).count <= 1 else {
    return false
  }
  // "1.2.10" is more likely a version.
  guard separator != UInt8(ascii: ".") || parts[2].count == 4 || parts.allSatisfy({ $0.count == 2 }) else {
    return false
  }
  // The year is first or last; the others are a month and a day.
  func areMonthAndDay(_ places: [Int]) -> Bool {
    let values = places.map { isMonth[$0] ? 1 : numbers[$0]! }
    return values.allSatisfy { 1...31 ~= $0 } && values.contains { $0 <= 12 }
  }
  return areMonthAndDay([0, 1]) && [2, 4].contains(parts[2].count)
    || areMonthAndDay([1, 2]) && parts[0].count == 4
}
