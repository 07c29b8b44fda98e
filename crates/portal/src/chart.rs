//! Charts as SVG text: numbers in, text out. Colours are classes of the style sheet, so that they follow light and dark;
//! each chart says in words what it shows, and the page puts the same figures into a table beside it.

use std::fmt::Write as _;

/// Size of the drawing.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 200.0;
/// The area of the figures: from here to the right edge, between these heights.
const LEFT: f64 = 64.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 176.0;

/// How figures are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Bars, one on top of the other.
    Bars,
    /// Lines, with a gap where there is no figure.
    Lines,
}

/// Figures of one kind, one for each place of the chart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    pub(crate) name: &'static str,
    /// The class of its bars or its line.
    pub(crate) class: &'static str,
    pub(crate) values: Vec<Option<f64>>,
}

/// A chart.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    /// What its parts are known by on the page.
    pub(crate) id: &'static str,
    pub(crate) title: String,
    pub(crate) form: Form,
    /// The places, first to last.
    pub(crate) places: Vec<String>,
    pub(crate) series: Vec<Series>,
    /// A figure as people read it.
    pub(crate) told: fn(f64) -> String,
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// 1, 2 or 5 times a power of ten that is not below the value; 1 at least.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|end| *end >= value).unwrap_or(value)
}

impl Chart {
    /// A figure that can be drawn.
    fn value(series: &Series, place: usize) -> Option<f64> {
        series.values.get(place).copied().flatten().filter(|value| value.is_finite() && *value >= 0.0)
    }

    /// Whether there is no figure above zero.
    pub(crate) fn is_empty(&self) -> bool {
        self.highest() <= 0.0
    }

    /// The highest bar or point.
    fn highest(&self) -> f64 {
        let at = |place| {
            let values = self.series.iter().filter_map(|series| Self::value(series, place));
            match self.form {
                Form::Bars => values.sum(),
                Form::Lines => values.fold(0.0, f64::max),
            }
        };
        (0..self.places.len()).map(at).fold(0.0, f64::max)
    }

    /// Each place with its figures as people read them, in the order of the series.
    pub(crate) fn rows(&self) -> Vec<(&str, Vec<String>)> {
        let one = |series, at| Self::value(series, at).map_or_else(|| "\u{2013}".to_owned(), self.told);
        let row = |at| self.series.iter().map(|series| one(series, at)).collect();
        self.places.iter().enumerate().map(|(at, place)| (place.as_str(), row(at))).collect()
    }

    /// What it shows, in a sentence.
    fn description(&self) -> String {
        let (Some(first), Some(last)) = (self.places.first(), self.places.last()) else {
            return "There are no figures.".to_owned();
        };
        if self.is_empty() {
            return format!("From {first} to {last} there are no figures.");
        }
        let mut text = format!("From {first} to {last}.");
        for series in &self.series {
            let values = (0..self.places.len()).filter_map(|place| Self::value(series, place));
            let (what, value) = match self.form {
                Form::Bars => ("in all", values.sum::<f64>()),
                Form::Lines => ("at most", values.fold(0.0, f64::max)),
            };
            // writing into a String cannot fail
            let _ = write!(text, " {}: {} {what}.", series.name, (self.told)(value));
        }
        text
    }

    /// The chart as SVG.
    pub(crate) fn svg(&self) -> String {
        let top = round_up(self.highest());
        let id = self.id;
        let mut svg = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
             <title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>\
             <path class=\"axis\" d=\"M{LEFT} {TOP}H{WIDTH}M{LEFT} {BOTTOM}H{WIDTH}\"/>",
            escaped(&self.title),
            escaped(&self.description()),
        );
        let beside = LEFT - 6.0;
        for (at, value) in [(TOP, top), (BOTTOM, 0.0)] {
            let label = escaped(&(self.told)(value));
            let _ = write!(svg, "<text x=\"{beside}\" y=\"{}\" text-anchor=\"end\">{label}</text>", at + 4.0);
        }
        let ends = [(LEFT, "start", self.places.first()), (WIDTH, "end", self.places.last())];
        for (at, anchor, place) in ends {
            let label = place.map(|place| escaped(place)).unwrap_or_default();
            let _ = write!(
                svg,
                "<text x=\"{at}\" y=\"{}\" text-anchor=\"{anchor}\">{label}</text>",
                HEIGHT - 6.0
            );
        }
        if !self.is_empty() {
            for (n, series) in self.series.iter().enumerate() {
                let path = match self.form {
                    Form::Bars => self.bars(n, top),
                    Form::Lines => self.line(series, top),
                };
                if !path.is_empty() {
                    let _ = write!(svg, "<path class=\"{}\" d=\"{path}\"/>", series.class);
                }
            }
        }
        svg + "</svg>"
    }

    /// Where a place begins, and how wide it is.
    fn place(&self, place: usize) -> (f64, f64) {
        #[expect(clippy::cast_precision_loss, reason = "places are hours of a few days")]
        let (place, places) = (place as f64, self.places.len().max(1) as f64);
        let width = (WIDTH - LEFT) / places;
        (LEFT + place * width, width)
    }

    fn height(value: f64, top: f64) -> f64 {
        (value / top).clamp(0.0, 1.0) * (BOTTOM - TOP)
    }

    /// The bars of a series, on top of those before it.
    fn bars(&self, n: usize, top: f64) -> String {
        let mut path = String::new();
        for at in 0..self.places.len() {
            let Some(value) = self.series.get(n).and_then(|series| Self::value(series, at)) else { continue };
            let below: f64 = self.series.iter().take(n).filter_map(|series| Self::value(series, at)).sum();
            let (from, to) = (Self::height(below, top), Self::height(below + value, top));
            if to - from > 0.0 {
                let (x, width) = self.place(at);
                let _ = write!(
                    path,
                    "M{x:.1} {:.1}h{:.1}v-{:.1}h-{1:.1}z",
                    BOTTOM - from,
                    width * 0.8,
                    to - from
                );
            }
        }
        path
    }

    /// The line of a series; a figure without neighbours is a dot.
    fn line(&self, series: &Series, top: f64) -> String {
        let mut path = String::new();
        let mut drawn = false;
        for at in 0..self.places.len() {
            let Some(value) = Self::value(series, at) else {
                drawn = false;
                continue;
            };
            let (x, width) = self.place(at);
            let (x, y) = (x + width / 2.0, BOTTOM - Self::height(value, top));
            let _ = match drawn {
                true => write!(path, "L{x:.1} {y:.1}"),
                false => write!(path, "M{x:.1} {y:.1}h0"),
            };
            drawn = true;
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(form: Form, places: usize, series: Vec<Vec<Option<f64>>>) -> Chart {
        let names = [("Succeeded", "good"), ("Partly", "warn"), ("Failed", "bad"), ("Cancelled", "busy")];
        let series = series.into_iter().zip(names);
        Chart {
            id: "jobs",
            title: "Syncs <by> \"result\" & hour".to_owned(),
            form,
            places: (0..places).map(|n| format!("{n:02}:00")).collect(),
            series: series.map(|(values, (name, class))| Series { name, class, values }).collect(),
            told: |value| format!("{value:.0}"),
        }
    }

    /// As much as has to hold of every drawing.
    fn sound(svg: &str) {
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>"), "{svg}");
        for needed in [
            "role=\"img\"",
            "aria-labelledby=\"jobs-t jobs-d\"",
            "<title id=\"jobs-t\">",
            "<desc id=\"jobs-d\">",
        ] {
            assert!(svg.contains(needed), "{needed}: {svg}");
        }
        for never in ["style", "NaN", "inf", "fill=", "stroke=", "<by>", "-0.0 "] {
            assert!(!svg.contains(never), "{never}: {svg}");
        }
        assert_eq!(svg.matches('<').count(), svg.matches('>').count(), "{svg}");
        assert_eq!(svg.matches('"').count() % 2, 0, "{svg}");
    }

    #[test]
    fn without_figures_there_are_axes_and_words_alone() {
        for (form, places, series) in [
            (Form::Bars, 0, vec![]),
            (Form::Bars, 24, vec![vec![None; 24], vec![Some(0.0); 24]]),
            (Form::Lines, 24, vec![vec![]]),
            (Form::Lines, 1, vec![vec![Some(f64::NAN)], vec![Some(-1.0)], vec![Some(f64::INFINITY)]]),
        ] {
            let chart = chart(form, places, series);
            let svg = chart.svg();
            sound(&svg);
            assert!(
                chart.is_empty()
                    && svg.contains("there are no figures") | svg.contains("There are no figures")
            );
            assert_eq!(svg.matches("<path").count(), 1, "the axis: {svg}");
        }
    }

    #[test]
    fn one_figure_is_a_bar_or_a_dot() {
        let bar = chart(Form::Bars, 1, vec![vec![Some(3.0)]]).svg();
        sound(&bar);
        assert!(
            bar.contains("<path class=\"good\" d=\"M64.0 176.0h524.8v-98.4h-524.8z\"/>"),
            "3 of 5: {bar}"
        );
        assert!(bar.contains("Succeeded: 3 in all."), "{bar}");
        let dot = chart(Form::Lines, 3, vec![vec![None, Some(10.0), None]]).svg();
        sound(&dot);
        assert!(dot.contains("d=\"M392.0 12.0h0\""), "at the top, with round ends: {dot}");
        assert!(dot.contains("Succeeded: 10 at most."), "{dot}");
    }

    #[test]
    fn bars_stand_on_each_other_and_lines_have_gaps() {
        let bars = chart(Form::Bars, 2, vec![vec![Some(4.0), Some(1.0)], vec![Some(6.0), None]]).svg();
        sound(&bars);
        // 4 of 10 of 164 units, then 6 on top of these
        assert!(bars.contains("M64.0 176.0h262.4v-65.6h-262.4z"), "{bars}");
        assert!(bars.contains("<path class=\"warn\" d=\"M64.0 110.4h262.4v-98.4h-262.4z\"/>"), "{bars}");
        let values = vec![Some(1.0), Some(2.0), None, Some(2.0), Some(1.0)];
        let line = chart(Form::Lines, 5, vec![values]).svg();
        assert_eq!((line.matches("h0").count(), line.matches('L').count()), (2, 2), "{line}");
    }

    #[test]
    fn huge_figures_and_many_hours_stay_small() {
        for huge in [1e18, f64::MAX / 8.0] {
            let values: Vec<_> = (0..72).map(|n| Some(huge / f64::from(n + 1))).collect();
            for form in [Form::Bars, Form::Lines] {
                let mut all = chart(form, 72, vec![values.clone(); 4]);
                all.told = |value| format!("{value:.2e}");
                let svg = all.svg();
                sound(&svg);
                assert!(svg.len() < 12_000, "{}", svg.len());
            }
        }
    }

    #[test]
    fn the_table_has_the_figures_of_the_drawing() {
        let chart = chart(Form::Bars, 2, vec![vec![Some(4.0), None], vec![Some(6.0), Some(0.0)]]);
        let row = |values: [&str; 2]| values.map(str::to_owned).to_vec();
        assert_eq!(chart.rows(), [("00:00", row(["4", "6"])), ("01:00", row(["\u{2013}", "0"]))]);
        assert_eq!([0.0, 0.3, 1.0, 3.0, 9.5, 130.0].map(round_up), [1.0, 1.0, 1.0, 5.0, 10.0, 200.0]);
    }
}
