import Foundation
import Testing

@Suite("chainrule evaluate, predict and inspect")
struct ModelUseTests {
  private let place: Workplace

  init() throws { place = try Workplace() }

  /// A model of flowers: features "sepal length", "sepal width", …
  private func trainIris(preset: String = "recommended") throws {
    try place.chainrule(
      "train", "iris", "--preset", preset, "--epochs", "60", "--learning-rate", "0.01", "--save",
      "iris.safetensors", "--quiet")
  }

  /// A regression of the columns x and y.
  private func trainSums() throws {
    try place.write(csv(rows: 10), to: "sums.csv")
    try place.chainrule("train", "sums.csv", "--epochs", "5", "--save", "sums.safetensors", "--quiet")
  }

  // MARK: predict

  @Test func `classes are predicted with the probability of each`() throws {
    try trainIris()
    let rows = try place.chainrule("predict", "iris.safetensors", "iris", "--json").objects
    #expect(rows.compactMap { $0["row"] as? Int } == Array(1...150))
    for row in rows {
      #expect(Set(row.keys) == ["row", "label", "probabilities"])
      let probabilities = try #require(row["probabilities"] as? [String: Double])
      #expect(Set(probabilities.keys) == ["setosa", "versicolor", "virginica"])
      #expect(abs(probabilities.values.reduce(0, +) - 1) < 1e-5)
      #expect(probabilities[try #require(row["label"] as? String)] == probabilities.values.max())
    }

    let lines = try place.chainrule("predict", "iris.safetensors", "iris").lines
    #expect(lines.count == 151)
    #expect(lines.first == "row,label,setosa,versicolor,virginica")
    let cells = try #require(lines.dropFirst().first).split(separator: ",")
    #expect(cells.prefix(2) == ["1", "setosa"])
    #expect(try #require(Double(cells[2])) > 0.9 && cells.count == 5)
  }

  @Test func `quantities are predicted as outputs under the names of the targets`() throws {
    try trainSums()
    let rows = try place.chainrule("predict", "sums.safetensors", "sums.csv", "--json").objects
    #expect(rows.count == 10)
    for row in rows {
      #expect(Set(row.keys) == ["row", "outputs"])
      #expect((row["outputs"] as? [Double])?.count == 1)
    }
    let lines = try place.chainrule("predict", "sums.safetensors", "sums.csv").lines
    #expect(lines.first == "row,sum")
    for (number, line) in zip(1...10, lines.dropFirst()) { #expect(line.hasPrefix("\(number),")) }
  }

  @Test func `features are found by name among other columns, and by place without names`() throws {
    try trainSums()
    let named = try place.chainrule("predict", "sums.safetensors", "-", input: "y,note,x\n4.5,9,2\n")
    let placed = try place.chainrule("predict", "sums.safetensors", "-", input: "2,4.5\n")
    #expect(named.status == 0)
    #expect(named.output == placed.output)
    #expect(try place.chainrule("predict", "sums.safetensors", "-", input: "4.5,2\n").output != placed.output)
  }

  @Test func `a row is predicted alike alone and among others`() throws {
    try trainIris()
    let all = try place.chainrule("predict", "iris.safetensors", "iris").lines
    let one = try place.chainrule("predict", "iris.safetensors", "-", input: "5.1,3.5,1.4,0.2\n").lines
    #expect(one.count == 2)
    #expect(one == Array(all.prefix(2)))
  }

  @Test func `a file of predictions replaces the old one only when all is there`() throws {
    try trainSums()
    try place.write("old", to: "out.csv")
    let failed = try place.chainrule(
      "predict", "sums.safetensors", "-", "--output", "out.csv", input: "1,oops\n2,3\n")
    #expect(failed.status == 65)
    #expect(try place.read("out.csv") == "old")

    let printed = try place.chainrule("predict", "sums.safetensors", "sums.csv")
    let written = try place.chainrule("predict", "sums.safetensors", "sums.csv", "--output", "out.csv")
    #expect(written.output.isEmpty)
    #expect(try place.read("out.csv") == printed.output)
  }

  @Test func `names that need it are quoted in CSV and JSON`() throws {
    try place.write(
      "a,kind\n1,\"x, \"\"y\"\"\"\n2,z\\\n3,\"x, \"\"y\"\"\"\n4,z\\\n", to: "kinds.csv")
    try place.chainrule("train", "kinds.csv", "--epochs", "1", "--save", "m", "--quiet")
    #expect(
      try place.chainrule("predict", "m", "kinds.csv").lines.first == #"row,label,"x, ""y""",z\"#)
    let row = try #require(place.chainrule("predict", "m", "kinds.csv", "--json").objects.first)
    #expect(Set(try #require(row["probabilities"] as? [String: Double]).keys) == [#"x, "y""#, #"z\"#])
  }

  // MARK: evaluate

  @Test func `evaluating classes gives the accuracy and the confusion matrix`() throws {
    try trainIris()
    let json = try #require(place.chainrule("evaluate", "iris.safetensors", "iris", "--json").objects.first)
    #expect(
      Set(json.keys) == [
        "rows", "loss", "accuracy", "balancedAccuracy", "macroF1", "areaUnderROC", "logLoss",
        "expectedCalibrationError", "calibration", "perClass", "classes", "confusionMatrix",
      ])
    #expect(json["rows"] as? Int == 150)
    #expect(json["classes"] as? [String] == ["setosa", "versicolor", "virginica"])
    let counts = try #require(json["confusionMatrix"] as? [[Int]])
    #expect(counts.map { $0.reduce(0, +) } == [50, 50, 50])

    let text = try place.chainrule("evaluate", "iris.safetensors", "iris")
    #expect(text.output.hasPrefix("accuracy "))
    #expect(text.output.contains("actual \\ predicted"))
    #expect(text.errors.isEmpty)
  }

  @Test func `balanced accuracy and macro F1 are means over the classes`() throws {
    try trainIris()
    // Four flowers like a setosa, of which the last two are said to be something else.
    let flower = "5.1,3.5,1.4,0.2,"
    let json = try #require(
      place.chainrule(
        "evaluate", "iris.safetensors", "-", "--json",
        input:
          "\(flower)setosa\n\(flower)setosa\n\(flower)virginica\n\(flower)versicolor\n6.5,3,5.8,2.2,virginica\n"
      ).objects.first)
    #expect(json["confusionMatrix"] as? [[Int]] == [[2, 0, 0], [1, 0, 0], [1, 0, 1]])
    #expect(json["accuracy"] as? Double == 0.6)
    // Recalls 1, 0, 1/2; F₁ = 2 TP / (2 TP + FP + FN) = 4/6, 0, 2/3
    #expect(json["balancedAccuracy"] as? Double == 0.5)
    #expect(abs(try #require(json["macroF1"] as? Double) - 4.0 / 9) < 1e-12)
  }

  @Test func `evaluating a regression gives its errors`() throws {
    try trainSums()
    let json = try #require(
      place.chainrule("evaluate", "sums.safetensors", "sums.csv", "--json").objects.first)
    #expect(
      Set(json.keys) == [
        "rows", "loss", "meanAbsoluteError", "rootMeanSquaredError", "r2", "explainedVariance",
        "medianAbsoluteError",
      ])
    // An offset of the outputs is held against R² alone.
    #expect(try #require(json["explainedVariance"] as? Double) > (json["r2"] as! Double))
    #expect(try place.chainrule("evaluate", "sums.safetensors", "sums.csv").output.hasPrefix("MAE "))
  }

  @Test func `the order of columns and rows does not matter to an evaluation by name`() throws {
    try trainSums()
    let straight = try place.chainrule(
      "evaluate", "sums.safetensors", "-", input: "x,y,sum\n1,2.5,3.5\n4,0.5,4.5\n")
    let mixed = try place.chainrule(
      "evaluate", "sums.safetensors", "-", input: "sum,id,y,x\n4.5,7,0.5,4\n3.5,8,2.5,1\n")
    let renamed = try place.chainrule(
      "evaluate", "sums.safetensors", "-", "--target", "total",
      input: "total,id,y,x\n4.5,7,0.5,4\n3.5,8,2.5,1\n")
    let unnamed = try place.chainrule("evaluate", "sums.safetensors", "-", input: "1,2.5,3.5\n4,0.5,4.5\n")
    #expect(straight.status == 0)
    #expect(mixed.output == straight.output)
    #expect(renamed.output == straight.output)
    #expect(unnamed.output == straight.output)
  }

  @Test func `an evaluation keeps the model's classes, in its order`() throws {
    try place.write("a,kind\n1,u\n2,v\n3,w\n4,u\n5,v\n6,w\n", to: "three.csv")
    try place.chainrule("train", "three.csv", "--epochs", "1", "--save", "m", "--quiet")
    let fewer = try place.chainrule("evaluate", "m", "-", "--json", input: "kind,a\nw,1\nv,2\n").objects.first
    #expect(fewer?["classes"] as? [String] == ["u", "v", "w"])
    #expect((fewer?["confusionMatrix"] as? [[Int]])?.map { $0.reduce(0, +) } == [0, 1, 1])

    let unknown = try place.chainrule("evaluate", "m", "-", input: "a,kind\n1,w\n2,q\n")
    #expect(unknown.status == 65)
    #expect(
      unknown.errors
        == "chainrule: standard input, line 3, column 2: kind: \"q\" is not one of the classes u, v, w\n")
  }

  // MARK: inspect

  @Test func `inspect shows layers, shapes, parameters and names`() throws {
    try trainIris(preset: "plain")
    let json = try #require(place.chainrule("inspect", "iris.safetensors", "--json").objects.first)
    #expect(json["inputs"] as? Int == 4)
    #expect(json["outputs"] as? Int == 3)
    #expect(json["parameters"] as? Int == 4 * 64 + 64 + 64 * 3 + 3)
    #expect((json["features"] as? [String])?.count == 4)
    #expect(json["classes"] as? [String] == ["setosa", "versicolor", "virginica"])
    let layers = try #require(json["layers"] as? [[String: Any]])
    #expect(layers.compactMap { $0["activation"] as? String } == ["relu", "softmax"])
    #expect(layers.compactMap { $0["parameters"] as? Int } == [320, 195])

    let text = try place.chainrule("inspect", "iris.safetensors").output
    #expect(text.contains("64 × 4"))
    #expect(text.contains("classes  setosa, versicolor, virginica"))
  }

  @Test func `inspect shows the layers that scale the features of a recommended network`() throws {
    try place.chainrule("train", "digits", "--epochs", "1", "--save", "digits.safetensors", "--quiet")
    let json = try #require(place.chainrule("inspect", "digits.safetensors", "--json").objects.first)
    let layers = try #require(json["layers"] as? [[String: Any]])
    #expect(
      layers.compactMap { $0["type"] as? String } == [
        "scaling", "dense", "scaling", "dense", "dropout", "dense", "dropout", "dense",
      ])
    #expect(layers.compactMap { $0["activation"] as? String } == ["hardTanh", "relu", "relu", "softmax"])
    // 64 × 888 + 888, 888 × 128 + 128, 128 × 128 + 128, 128 × 10 + 10
    let parameters = layers.compactMap { $0["parameters"] as? Int }
    #expect(parameters == [0, 57720, 0, 113792, 0, 16512, 0, 1290])
  }

  // MARK: IDX

  @Test func `IDX images find their labels by MNIST's naming, or by the option`() throws {
    let images: [UInt8] =
      [0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 1] + [0, 255, 255, 0, 10, 250, 240, 5]
    let labels: [UInt8] = [0, 0, 8, 1, 0, 0, 0, 4] + [0, 1, 0, 1]
    try place.write(images, to: "tiny-images-idx3-ubyte")
    try place.write(labels, to: "tiny-labels-idx1-ubyte")
    try place.write(images, to: "a.idx")
    let train = ["--epochs", "1", "--save", "m", "--quiet"]
    #expect(
      try place.chainrule(["train", "tiny-images-idx3-ubyte"] + train).output.contains("2 inputs, 2 classes"))
    #expect(
      try place.chainrule(["train", "a.idx", "--labels", "tiny-labels-idx1-ubyte"] + train).status == 0)
    #expect(try place.chainrule("evaluate", "m", "tiny-images-idx3-ubyte").status == 0)
    #expect(try place.chainrule("predict", "m", "a.idx").lines.count == 5)

    let lost = try place.chainrule(["train", "a.idx"] + train)
    #expect(lost.status == 64)
    #expect(lost.errors.contains("--labels"))
  }
}
