import Foundation
import TestSupport
import Testing

@testable import Chainrule

/// Tables that Python's csv module has written: Tests/Fixtures/csv/csv.json, by generate.py beside it.
private struct WrittenTable: Decodable {
  let seed: Int
  let mode: String
  let delimiter: String
  let header: Bool
  let csv: String
  let cells: [[String]]

  static func all() throws -> [WrittenTable] {
    try JSONDecoder().decode(
      [WrittenTable].self, from: Data(contentsOf: fixtures.appending(path: "csv/csv.json")))
  }
}

extension CSVTable {
  /// The text of every cell of a column, empty ones too.
  fileprivate func cells(inColumn column: Int) throws -> [String] {
    try categories(inColumn: column, missing: MissingCells([""])).map { $0 ?? "" }
  }
}

/// The scalars of texts. Strings are equal where they are canonically equivalent, such as é in both of its forms; these are
/// equal only where they are the same.
private func scalars(_ texts: [String]?) -> [[UInt32]]? { texts?.map { $0.unicodeScalars.map(\.value) } }

@Suite("CSV that Python has written")
struct WrittenTests {
  @Test func `every cell reads back exactly, whatever the delimiter, the quoting and the line ends`() throws {
    let tables = try WrittenTable.all()
    #expect(tables.count == 400)
    for written in tables {
      let options = CSVOptions(
        header: written.header ? .yes : .no, delimiter: try #require(written.delimiter.first))
      // A header without rows is an error.
      let rows = written.header ? Array(written.cells.dropFirst()) : written.cells
      do {
        let table = try CSVTable(bytes: Array(written.csv.utf8), options: options)
        let columns = written.cells[0].count
        #expect(table.rows == rows.count && table.columns == columns, "seed \(written.seed)")
        #expect(
          scalars(table.columnNames) == (written.header ? scalars(written.cells[0]) : nil),
          "seed \(written.seed)")
        for column in 0..<columns {
          let cells = try table.cells(inColumn: column)
          #expect(
            scalars(cells) == scalars(rows.map { $0[column] }),
            "seed \(written.seed), column \(column + 1): \(cells)")
        }
      } catch {
        Issue.record("seed \(written.seed): \(error)")
      }
    }
  }
}
