import Chainrule
import Foundation
import Testing

/// What an option asks of the library, which is then to train the same model, bit for bit.
private struct Recipe: CustomTestStringConvertible, Sendable {
  let options: String
  var hidden: [Layer] = [.dense(Dense(6, activation: .relu)), .dense(Dense(6, activation: .relu))]
  var regularization = Regularization.none
  var optimizer = Optimizer.adam()
  var accumulating = 1
  var weights: [String: Double] = [:]
  var standardizes = false
  var output = Dense(3, activation: .softmax)

  var testDescription: String { options }
}

@Suite("The options of chainrule train")
struct TrainOptionTests {
  private let place: Workplace

  init() throws { place = try Workplace() }

  @Test(arguments: [
    Recipe(options: ""),
    Recipe(
      options: "--dropout 0.25",
      hidden: [
        .dense(Dense(6, activation: .relu)), .dropout(Dropout(0.25)),
        .dense(Dense(6, activation: .relu)), .dropout(Dropout(0.25)),
      ]),
    Recipe(
      options: "--normalization batch --residual",
      hidden: [
        .dense(Dense(6, bias: false)), .batchNorm(BatchNorm()), .activation(.relu),
        .dense(Dense(6, bias: false)), .batchNorm(BatchNorm()), .activation(.relu), .residual(span: 3),
      ]),
    Recipe(
      options: "--normalization layer --dropout 0.1 --residual",
      hidden: [
        .dense(Dense(6)), .layerNorm(LayerNorm()), .activation(.relu), .dropout(Dropout(0.1)),
        .dense(Dense(6)), .layerNorm(LayerNorm()), .activation(.relu), .dropout(Dropout(0.1)),
        .residual(span: 4),
      ]),
    Recipe(options: "--standardize", standardizes: true),
    Recipe(options: "--l1 0.01", optimizer: .adam(l1: 0.01)),
    Recipe(options: "--weight-decay 0.5", optimizer: .adam(weightDecay: 0.5)),
    Recipe(options: "--label-smoothing 0.1", regularization: Regularization(labelSmoothing: 0.1)),
    Recipe(options: "--input-noise 0.5", regularization: Regularization(inputNoise: 0.5)),
    Recipe(options: "--clip-norm 0.01", regularization: Regularization(gradientClipNorm: 0.01)),
    Recipe(options: "--clip-value 0.001", regularization: Regularization(gradientClipValue: 0.001)),
    Recipe(options: "--max-norm 0.5", regularization: Regularization(maxNorm: 0.5)),
    Recipe(options: "--accumulate 3", accumulating: 3),
    Recipe(
      options: "--optimizer sgd --learning-rate 0.1 --momentum 0.9 --nesterov",
      optimizer: .sgd(learningRate: 0.1, momentum: 0.9, nesterov: true)),
    Recipe(
      options: "--optimizer RMSProp --momentum 0.5 --alpha 0.8 --centered --epsilon 1e-4",
      optimizer: .rmsprop(alpha: 0.8, epsilon: 1e-4, momentum: 0.5, centered: true)),
    Recipe(
      options: "--beta1 0.5 --beta2 0.9 --epsilon 1e-3 --amsgrad",
      optimizer: .adam(beta1: 0.5, beta2: 0.9, epsilon: 1e-3, amsgrad: true)),
    Recipe(options: "--optimizer adadelta --rho 0.5", optimizer: .adadelta(rho: 0.5)),
    Recipe(
      options: "--optimizer nadam --momentum-decay 0.1 --l1 0.01",
      optimizer: .nadam(momentumDecay: 0.1, l1: 0.01)),
    Recipe(
      options: "--optimizer rprop --eta-minus 0.4 --eta-plus 1.1 --step-min 1e-5 --step-max 0.02",
      optimizer: .rprop(etaMinus: 0.4, etaPlus: 1.1, stepMin: 1e-5, stepMax: 0.02)),
    Recipe(
      options: "--no-bias --activation TANH",
      hidden: [
        .dense(Dense(6, activation: .tanh, bias: false)), .dense(Dense(6, activation: .tanh, bias: false)),
      ],
      output: Dense(3, activation: .softmax, bias: false)),
    Recipe(
      options: "--initializer normal=0.2",
      hidden: (0..<2).map { _ in
        .dense(Dense(6, activation: .relu, weightsInitializer: .normal(standardDeviation: 0.2)))
      },
      output: Dense(3, activation: .softmax, weightsInitializer: .normal(standardDeviation: 0.2))),
    Recipe(
      options: "--class-weights virginica=3,setosa=0.5", weights: ["virginica": 3, "setosa": 0.5]),
  ])
  private func `an option trains what the library trains`(recipe: Recipe) throws {
    let options =
      "--preset plain --hidden 6,6 --epochs 2 --validation 0 --seed 5 --save m --quiet " + recipe.options
    let run = try place.chainrule(["train", "iris"] + options.split(separator: " ").map(String.init))
    #expect(run.status == 0)

    let data = try Dataset<Float>.iris
    let layers =
      (recipe.standardizes ? [.scaling(try Scaling(of: data))] : []) + recipe.hidden
      + [Layer.dense(recipe.output)]
    let network = try Network<Float>(inputs: 4, layers: layers, seed: 5)
    let trainer = try Trainer(
      network, loss: .crossEntropy, optimizer: recipe.optimizer,
      options: TrainerOptions(
        regularization: recipe.regularization, accumulationSteps: recipe.accumulating, seed: 5))
    let weighted = try data.weighted(byClass: recipe.weights)
    for _ in 1...2 { try trainer.epoch(on: weighted, batchSize: 32) }
    let predicted = try Model<Float>(contentsOf: place.url("m")).predict(data.features)
    #expect(predicted == (try Model(network).predict(data.features)))
    // None of the options leaves the model as it is without.
    if !recipe.options.isEmpty {
      try place.chainrule(
        "train", "iris", "--preset", "plain", "--hidden", "6,6", "--epochs", "2", "--validation", "0",
        "--seed",
        "5", "--save", "plain", "--quiet")
      #expect(try Model<Float>(contentsOf: place.url("plain")).predict(data.features) != predicted)
    }
  }

  @Test func `the training line has the options`() throws {
    let run = try place.chainrule(
      "train", "xor", "--epochs", "1", "--l1", "0.01", "--clip-norm", "2", "--accumulate", "2",
      "--class-weights", "1=2")
    #expect(
      run.output.contains("seed 0; L1 0.01, gradient norm ≤ 2, updates of 2 batches, class weights 1 2\n"))
  }

  @Test func `hinge trains classes, one against the rest`() throws {
    let run = try place.chainrule(
      "train", "iris", "--loss", "hinge", "--standardize", "--epochs", "60", "--validation", "0", "--save",
      "m",
      "--quiet")
    #expect(run.status == 0, "\(run.errors)")
    #expect(try Model<Float>(contentsOf: place.url("m")).outputActivation == .identity)
    let evaluated = try place.chainrule("evaluate", "m", "iris", "--json").objects
    #expect(try #require(evaluated.first?["accuracy"] as? Double) > 0.9)
  }

  @Test func `a standardized model takes the data as they are`() throws {
    let save = ["train", "iris", "--standardize", "--save", "m", "--quiet"]
    let run = try place.chainrule(save + ["--validation", "0"])
    let evaluated = try place.chainrule("evaluate", "m", "iris")
    let accuracy = try #require(evaluated.output.split(separator: ",").first)
    #expect(run.output.contains("trained on  \(accuracy),"))
    // Of the rows trained on, not of those held out.
    try place.chainrule(save + ["--validation", "0.5", "--seed", "1"])
    let trained = try Dataset<Float>.iris.split(holdingOut: 0.5, seed: 1, stratified: true).train
    let layer = try #require(Model<Float>(contentsOf: place.url("m")).layers.first)
    guard case .scaling(let scaling) = layer else {
      Issue.record("the first layer is \(layer)")
      return
    }
    let mean = stride(from: 0, to: trained.features.count, by: 4).reduce(0.0) {
      $0 + Double(trained.features[$1])
    }
    #expect(abs(scaling.mean[0] - mean / 75) < 1e-6)
  }

  @Test func `balanced classes weigh the same`() throws {
    // Of one feature that says nothing, the best output is each class's share of the weight.
    let rows = (0..<40).map { "1,\($0 < 30 ? "u" : "v")\n" }.joined()
    try place.write("a,kind\n" + rows, to: "skewed.csv")
    func probability(_ options: String...) throws -> Double {
      let run = try place.chainrule(
        [
          "train", "skewed.csv", "--preset", "plain", "--hidden", "none", "--optimizer", "sgd",
          "--learning-rate", "0.5",
        ]
          + ["--batch-size", "40", "--epochs", "200", "--validation", "0", "--save", "m", "--quiet"] + options
      )
      #expect(run.status == 0)
      let row = try #require(place.chainrule("predict", "m", "skewed.csv", "--json").objects.first)
      return try #require((row["probabilities"] as? [String: Double])?["u"])
    }
    #expect(abs(try probability() - 0.75) < 1e-3)
    #expect(abs(try probability("--class-weights", "balanced") - 0.5) < 1e-3)
    #expect(abs(try probability("--class-weights", "v=9") - 0.25) < 1e-3)
  }

  // MARK: Rows held out

  @Test func `a stratified split keeps the shares of the classes`() throws {
    let rows = (0..<100).map { "\($0),\($0.isMultiple(of: 10) ? "rare" : "usual")\n" }.joined()
    try place.write("a,kind\n" + rows, to: "skewed.csv")
    for seed in ["1", "2", "3"] {
      let run = try place.chainrule(
        "train", "skewed.csv", "--stratified", "--validation", "0.3", "--epochs", "1", "--seed", seed,
        "--quiet")
      #expect(run.status == 0)
      let counts = run.lines.suffix(2).map { line in
        line.split(separator: " ").dropFirst().prefix(2).compactMap { Int($0) }.reduce(0, +)
      }
      #expect(counts == [3, 27])
    }
  }

  @Test func `cross-validation prints a line a fold, their mean and their standard deviation`() throws {
    let run = try place.chainrule(
      "train", "iris", "--folds", "4", "--stratified", "--epochs", "3", "--standardize", "--log", "run.jsonl")
    #expect(run.status == 0)
    #expect(run.lines.first?.hasSuffix("3 classes; 4 folds held out in turns") == true)
    let folds = run.lines.filter { $0.hasPrefix("fold ") }
    #expect(folds.count == 4)
    // 50 rows of each of 3 classes are dealt out to 4 folds.
    let sizes = folds.compactMap { fold in
      fold.components(separatedBy: " of ").dropFirst().first.flatMap { Int($0.prefix { $0 != " " }) }
    }
    #expect(sizes.reduce(0, +) == 150)
    #expect(sizes.allSatisfy { 37...38 ~= $0 })
    #expect(run.errors.split(separator: "\n").count == 12)
    #expect(run.errors.contains("fold 4/4 epoch 3/3  loss "))

    let log = try jsonLines(place.read("run.jsonl"))
    #expect(log.compactMap { $0["fold"] as? Int } == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4])
    #expect(log.compactMap { $0["epoch"] as? Int } == [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3])
    let last = log.filter { $0["epoch"] as? Int == 3 }
    func spread(_ key: String) -> (mean: Double, deviation: Double) {
      let values = last.compactMap { $0[key] as? Double }
      let mean = values.reduce(0, +) / 4
      return (mean, (values.map { pow($0 - mean, 2) }.reduce(0, +) / 3).squareRoot())
    }
    let (accuracy, loss) = (spread("validationAccuracy"), spread("validationLoss"))
    #expect(accuracy.deviation > 0)
    let expected = String(
      format: "mean      accuracy %.1f %% ± %.1f %%, crossEntropy %.4g ± %.4g", 100 * accuracy.mean,
      100 * accuracy.deviation, loss.mean, loss.deviation)
    #expect(run.lines.last == expected)
  }

  @Test func `cross-validation of a regression has R², and none where a fold is a single row`() throws {
    try place.write(csv(rows: 10), to: "sums.csv")
    let run = try place.chainrule("train", "sums.csv", "--folds", "2", "--epochs", "1", "--quiet")
    #expect(run.lines.last?.hasPrefix("mean      R² ") == true)
    #expect(run.lines.last?.contains("meanSquaredError") == true)
    let single = try place.chainrule("train", "sums.csv", "--folds", "10", "--epochs", "1", "--quiet")
    #expect(single.lines.count { $0.hasPrefix("fold ") } == 10)
    #expect(single.lines.last?.hasPrefix("mean      R² –, meanSquaredError ") == true)
  }

  @Test func `a fold trains what a split of the same rows trains`() throws {
    let run = try place.chainrule(
      "train", "iris", "--preset", "plain", "--folds", "3", "--no-stratified", "--seed", "4", "--epochs", "2",
      "--quiet")
    let fold = try Dataset<Float>.iris.folds(3, seed: 4)[1]
    let network = try Network<Float>(inputs: 4, seed: 4) {
      Dense(64, activation: .relu)
      Dense(3, activation: .softmax)
    }
    let trainer = try Trainer(network, loss: .crossEntropy, options: TrainerOptions(seed: 4))
    for _ in 1...2 { try trainer.epoch(on: fold.train, batchSize: 32) }
    let evaluation = try Model(network).evaluate(fold.validation, loss: .crossEntropy)
    let line = try #require(run.lines.first { $0.hasPrefix("fold 2 ") })
    #expect(line.contains("(\(evaluation.confusionMatrix!.correct) of 50 rows)"))
    #expect(line.hasSuffix(String(format: "crossEntropy %.4g", evaluation.loss)))
  }

  // MARK: Encoded columns

  private let cars = """
    maker,km,fuel,price
    vw,10,gas,5
    vw,,diesel,4
    bmw,20,gas,9
    ,30,?,7
    bmw,5,diesel,8

    """

  private func trainCars(_ text: String, _ options: String, inputs: Int) throws {
    try place.write(text, to: "cars.csv")
    let run = try place.chainrule(
      ["train", "cars.csv", "--epochs", "3", "--save", "m", "--quiet"]
        + options.split(separator: " ").map(String.init))
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.output.contains("5 rows, \(inputs) inputs, 1 output"))
  }

  private func outputs(_ arguments: String..., input: String = "") throws -> [Float] {
    try place.start(["predict", "m", "--json"] + arguments, input: input).wait().objects.compactMap {
      ($0["outputs"] as? [Double])?.first.map { Float($0) }
    }
  }

  @Test func `a model of encoded columns predicts from columns as they are in the file`() throws {
    try trainCars(cars, "--preset plain --categorical maker,fuel --missing median", inputs: 5)
    #expect(
      try place.chainrule("inspect", "m", "--json").objects.first?["features"] as? [String]
        == ["maker=bmw", "maker=vw", "km", "fuel=diesel", "fuel=gas"])
    #expect(!place.exists("m.encoding.json"))
    let model = try Model<Float>(contentsOf: place.url("m"))
    // The median of 10, 20, 30 and 5 is 15; bmw and diesel are the first of the most frequent.
    let features: [Float] =
      [0, 1, 10, 0, 1] + [0, 1, 15, 1, 0] + [1, 0, 20, 0, 1] + [1, 0, 30, 1, 0] + [1, 0, 5, 1, 0]
    let expected = try model.predict(features)
    #expect(try outputs("cars.csv") == expected)
    #expect(try outputs("-", input: "fuel,note,km,maker\ngas,x,10,vw\n") == Array(expected.prefix(1)))
    let evaluated = try #require(place.chainrule("evaluate", "m", "cars.csv", "--json").objects.first)
    let errors = zip(expected, [5, 4, 9, 7, 8] as [Float]).map { abs(Double($0) - Double($1)) }
    #expect(abs(try #require(evaluated["meanAbsoluteError"] as? Double) - errors.reduce(0, +) / 5) < 1e-5)

    let unknown = try place.chainrule("predict", "m", "-", input: "maker,km,fuel\nopel,1,gas\n")
    #expect(unknown.status == 65 && unknown.output.isEmpty)
    #expect(unknown.errors.contains("line 2, column 1"))
    #expect(unknown.errors.contains("the category \"opel\" is unknown; the categories are bmw, vw"))
  }

  @Test func `by default text becomes categories, gaps are indicated and an unknown category is zeros`()
    throws
  {
    try trainCars(cars, "", inputs: 8)
    #expect(
      try place.chainrule("inspect", "m", "--json").objects.first?["features"] as? [String] == [
        "maker=bmw", "maker=vw", "maker is missing", "km", "km is missing", "fuel=diesel", "fuel=gas",
        "fuel is missing",
      ])
    let model = try Model<Float>(contentsOf: place.url("m"))
    let features: [Float] =
      [0, 1, 0, 10, 0, 0, 1, 0] + [0, 1, 0, 15, 1, 1, 0, 0] + [1, 0, 0, 20, 0, 0, 1, 0]
      + [0, 0, 1, 30, 0, 0, 0, 1] + [1, 0, 0, 5, 0, 1, 0, 0]
    #expect(try outputs("cars.csv") == model.predict(features))

    let unknown = "maker,km,fuel\nopel,1,gas\n"
    #expect(try outputs("-", input: unknown) == model.predict([0, 0, 0, 1, 0, 0, 1, 0]))
    let run = try place.chainrule("predict", "m", "-", input: unknown)
    #expect(run.status == 0)
    #expect(run.errors.contains("\"opel\" of maker in line 2; the features are all zeros there"))
  }

  @Test func `encoded columns need no header`() throws {
    let rows = cars.split(separator: "\n").dropFirst().map { $0 + "\n" }.joined()
    try trainCars(rows, "--preset plain --categorical 1,3 --missing median", inputs: 5)
    let model = try Model<Float>(contentsOf: place.url("m"))
    #expect(try outputs("-", input: "vw,NA,gas\n") == model.predict([0, 1, 15, 0, 1]))
    #expect(try place.chainrule("evaluate", "m", "cars.csv", "--json").objects.first?["rows"] as? Int == 5)
    // As wide as the training data, whose last column was the target.
    #expect(try outputs("-", input: "vw,NA,gas,5\n") == model.predict([0, 1, 15, 0, 1]))
    let wide = try place.chainrule("predict", "m", "-", input: "vw,1,gas,5,6\n")
    #expect(wide.status == 65)
    #expect(wide.errors.contains("there are 5 columns; the model's features are made of 3"))
  }

  @Test(arguments: ["recommended", "plain"])
  func `a target in another place than the last is found there again without a header`(preset: String) throws
  {
    try place.write((0..<12).map { "\($0 * 3 % 7),\($0),\($0 * $0 % 5)\n" }.joined(), to: "d.csv")
    try place.chainrule(
      "train", "d.csv", "--preset", preset, "--target", "1", "--task", "regression", "--epochs", "2",
      "--save",
      "m", "--quiet")
    let named = try place.chainrule("evaluate", "m", "d.csv", "--target", "1")
    #expect(named.status == 0 && named.output.contains("(12 rows)"))
    #expect(try place.chainrule("evaluate", "m", "d.csv").output == named.output)
    // The features are never the target too.
    let narrow = try place.chainrule("evaluate", "m", "-", input: "1,2\n3,4\n5,6\n")
    #expect(narrow.status == 65 && narrow.output.isEmpty)
  }

  // MARK: The encoding of an older version, next to the model

  @Test
  func `an old encoding is read for a model without one, refused if damaged, and goes with a new model`()
    throws
  {
    let rows = (0..<9).map { "\($0 % 2),\(1 - $0 % 2),\($0 * 5 % 7),\($0)\n" }.joined()
    try place.write("maker=bmw,maker=vw,km,price\n" + rows, to: "plain.csv")
    func train() throws {
      let run = try place.chainrule(
        "train", "plain.csv", "--preset", "plain", "--epochs", "1", "--save", "m", "--quiet")
      #expect(run.status == 0 && !place.exists("m.encoding.json"))
    }
    try train()
    let encoding = """
      {"columnNames": ["maker", "km"], "columns": [{"categories": ["bmw", "vw"], "missing": "bmw"}, {"missing": 15}],
      "missingTexts": ["", "NA"], "unknown": "error"}
      """
    try place.write(encoding, to: "m.encoding.json")
    try place.write("maker,km,price\nvw,10,5\nNA,NA,4\n", to: "cars.csv")
    let model = try Model<Float>(contentsOf: place.url("m"))
    #expect(try outputs("cars.csv") == model.predict([0, 1, 10, 1, 0, 15]))
    #expect(try place.chainrule("evaluate", "m", "cars.csv", "--json").objects.first?["rows"] as? Int == 2)

    for (text, message) in [
      ("{", "m.encoding.json: this is not the encoding of a table"),
      (
        encoding.replacingOccurrences(of: "\"vw\"", with: "\"vw\", \"opel\""),
        "m.encoding.json: this is the encoding of another model"
      ),
      (
        encoding.replacingOccurrences(of: "\"vw\"", with: "\"opel\""),
        "m.encoding.json: this is the encoding of another model"
      ),
    ] {
      try place.write(text, to: "m.encoding.json")
      for command in ["predict", "evaluate"] {
        let run = try place.chainrule(command, "m", "cars.csv")
        #expect(run.status == 65)
        #expect(run.errors.contains(message), "\(run.errors)")
      }
    }
    try place.write(encoding, to: "m.encoding.json")
    try train()
    #expect(try place.chainrule("evaluate", "m", "plain.csv").status == 0)
  }

  @Test func `Ctrl-C ends a cross-validation with the folds that are done`() throws {
    let run = try place.start(["train", "digits", "--folds", "2", "--epochs", "20", "--hidden", "512"])
    let end = Date(timeIntervalSinceNow: 60)
    while try !run.errors.contains("fold 2/2 epoch 1/") {
      try #require(run.process.isRunning && Date() < end, "there is no progress")
      Thread.sleep(forTimeInterval: 0.005)
    }
    run.process.interrupt()
    let ended = try run.wait()
    #expect(ended.status == 130)
    #expect(ended.lines.last?.hasPrefix("fold 1 ") == true)
    #expect(ended.errors.hasSuffix("chainrule: interrupted in fold 2 of 2\n"))
  }
}
